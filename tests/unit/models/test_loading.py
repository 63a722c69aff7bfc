from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorafw.errors import ModelError
from lorafw.models.loading import (
    check_vocabulary,
    load_config,
    load_model,
    load_tokenizer,
    quiet,
    torch_dtype,
)
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toy_folder(tmp_path / "toy")


@contextmanager
def rewritten(folder: Path) -> Iterator[MutableMapping[str, torch.Tensor]]:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    yield tensors
    save_file(tensors, file, {"format": "pt"})


def set_config(folder: Path, **fields: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_weights_are_those_of_the_file(toy: Path) -> None:
    model = load_model(toy, dtype="auto")
    for name, tensor in load_file(toy / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("option", "dtype"),
    [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)],
)
def test_dtypes(toy: Path, option: Any, dtype: torch.dtype) -> None:
    assert load_model(toy, dtype=option).dtype == dtype


def test_auto_is_the_dtype_of_the_files(tmp_path: Path) -> None:
    toy_llama().to(torch.bfloat16).save_pretrained(tmp_path)
    assert load_model(tmp_path, dtype="auto").dtype == torch.bfloat16
    assert torch_dtype("auto") is None


def test_a_tied_head_need_not_be_stored(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    model = load_model(folder, dtype="auto")
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_cut_off_file_is_an_error(toy: Path) -> None:
    file = toy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut off"):
        load_model(toy, dtype="auto")


def test_a_missing_tensor_is_an_error(toy: Path) -> None:
    with rewritten(toy) as tensors:
        del tensors["model.norm.weight"]
    with pytest.raises(ModelError, match=r"lack 1 tensors.*model\.norm\.weight"):
        load_model(toy, dtype="auto")


def test_a_missing_head_that_is_not_tied_is_an_error(toy: Path) -> None:
    with rewritten(toy) as tensors:
        del tensors["lm_head.weight"]
    with pytest.raises(ModelError, match=r"lack 1 tensors.*lm_head\.weight"):
        load_model(toy, dtype="auto")


def test_a_tensor_too_many_is_an_error(toy: Path) -> None:
    with rewritten(toy) as tensors:
        tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(48, 32)
    with pytest.raises(ModelError, match=r"hold 1 tensors.*layers\.2"):
        load_model(toy, dtype="auto")


def test_a_wrong_shape_is_an_error(toy: Path) -> None:
    set_config(toy, intermediate_size=40)
    with pytest.raises(ModelError, match=r"has shape \[\d+, \d+\], config\.json asks for"):
        load_model(toy, dtype="auto")


def test_an_unknown_architecture_is_an_error(toy: Path) -> None:
    set_config(toy, model_type="not-a-family")
    with pytest.raises(ModelError, match="not-a-family"):
        load_config(toy)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"num_attention_heads": 5}, "not a multiple of the number of attention heads"),
        ({"hidden_size": "32"}, "'hidden_size' expected int, got str"),
    ],
)
def test_a_config_that_transformers_refuses_is_an_error(
    toy: Path, fields: dict[str, Any], fault: str
) -> None:
    set_config(toy, **fields)
    for load in (load_config, load_tokenizer):
        with pytest.raises(ModelError, match=rf"{fault}.*Is config\.json as it was") as told:
            load(toy)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json", "config.json"])
def test_a_list_where_an_object_belongs_is_an_error(toy: Path, name: str) -> None:
    (toy / name).write_text("[]")
    with pytest.raises(ModelError, match=str(toy)):
        load_tokenizer(toy)


def test_code_in_the_folder_is_not_run_unasked(toy: Path) -> None:
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    set_config(toy, model_type="own", auto_map=own)
    (toy / "own.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelError, match="trust_remote_code: true"):
        load_config(toy)


def test_the_fused_kernels_that_ignore_a_soft_cap_are_not_used(family: Any, tmp_path: Path) -> None:
    family("gemma2").save_pretrained(tmp_path)
    assert load_model(tmp_path, dtype="auto").config._attn_implementation == "eager"


def test_no_tokenizer_is_an_error(toy: Path) -> None:
    for file in toy.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"there is no tokenizer.*tokenizer_path"):
        load_tokenizer(toy)


def test_a_damaged_tokenizer_is_an_error(toy: Path) -> None:
    (toy / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="the tokenizer cannot be loaded"):
        load_tokenizer(toy)


def test_a_tokenizer_reads_as_it_was_written(toy: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(toy, tmp_path / "moved")
    text = "the cat sat"
    assert load_tokenizer(Path(moved)).encode(text) == toy_tokenizer().encode(text)


def test_a_tokenizer_with_too_many_ids_is_an_error() -> None:
    check_vocabulary(toy_llama(), toy_tokenizer())
    with pytest.raises(ModelError, match="the model only 8"):
        check_vocabulary(toy_llama(vocab_size=8), toy_tokenizer())


def test_loading_says_nothing(toy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(toy, dtype="auto")
    assert capfd.readouterr() == ("", "")


def test_quiet_gives_the_levels_back() -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with pytest.raises(ZeroDivisionError), quiet():
        _ = 1 / 0
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before

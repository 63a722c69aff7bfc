from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import ConfigError, ModelError
from lorafw.testing.toys import toy_folder, toy_llama, toy_tokenizer
from lorafw.types import Capability, Task
from lorafw_llama.model import Llama

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("toy"))


def llama(**options: Any) -> Llama:
    return Llama.from_mapping(options, where="model")


def build(builder: Llama, seed: int = 0) -> ModelBundle:
    request = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"), seed)
    return builder.build(request, builder.tokenizer())


def test_a_folder_becomes_a_bundle(toy: Path) -> None:
    builder = llama(path=str(toy))
    builder.preflight()
    bundle = build(builder)
    assert Capability.SEGMENTS in bundle.capabilities
    assert bundle.head_weight is not None
    assert torch.equal(bundle.head_weight, toy_llama().lm_head.weight)


def test_other_families_are_refused_with_the_way_out(toy: Path, tmp_path: Path) -> None:
    config = json.loads((toy / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    (tmp_path / "model.safetensors").write_bytes((toy / "model.safetensors").read_bytes())
    for options in (
        {"path": str(tmp_path)},
        {"config": str(tmp_path / "config.json"), "tokenizer_path": str(toy)},
    ):
        with pytest.raises(ModelError, match=r"'qwen2', not a Llama\. Use model auto"):
            llama(**options).preflight()


def test_random_weights_are_a_function_of_the_seed(toy: Path) -> None:
    builder = llama(config=SMALL, tokenizer_path=str(toy))
    builder.preflight()
    first, again, other = (build(builder, seed) for seed in (5, 5, 6))
    assert first.base == again.base != other.base
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, again.module.state_dict()[name])
    weight, others = first.head_weight, other.head_weight
    assert weight is not None
    assert others is not None
    assert not torch.equal(weight, others)


def test_random_weights_leave_torchs_generator_alone(toy: Path) -> None:
    builder = llama(config=SMALL, tokenizer_path=str(toy))
    torch.manual_seed(3)
    want = torch.rand(1)
    torch.manual_seed(3)
    build(builder)
    assert torch.equal(torch.rand(1), want)


def test_the_vocabulary_is_the_tokenizers_unless_said(toy: Path) -> None:
    weight = build(llama(config=SMALL, tokenizer_path=str(toy))).head_weight
    assert weight is not None
    assert weight.shape == (len(toy_tokenizer()), 32)  # type: ignore[arg-type]
    larger = llama(config=SMALL | {"vocab_size": 100}, tokenizer_path=str(toy))
    assert larger.native_config()["vocab_size"] == 100
    smaller = llama(config=SMALL | {"vocab_size": 8}, tokenizer_path=str(toy))
    with pytest.raises(ModelError, match="the model only 8"):
        build(smaller)


def test_a_config_may_be_a_file(toy: Path) -> None:
    builder = llama(config=str(toy / "config.json"), tokenizer_path=str(toy), dtype="bf16")
    builder.preflight()
    bundle = build(builder)
    weight = bundle.head_weight
    assert weight is not None
    assert (tuple(weight.shape), weight.dtype) == ((64, 32), torch.bfloat16)


def test_what_is_written_of_random_weights_reads_as_a_folder(toy: Path, tmp_path: Path) -> None:
    random = llama(config=SMALL, tokenizer_path=str(toy))
    bundle = build(random)
    bundle.module.save_pretrained(tmp_path)  # type: ignore[operator]
    (tmp_path / "config.json").write_text(json.dumps(dict(random.native_config())))
    again = build(llama(path=str(tmp_path), tokenizer_path=str(toy)))
    for name, tensor in bundle.module.state_dict().items():
        assert torch.equal(tensor, again.module.state_dict()[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "set either path, or config"),
        ({"path": "a", "config": {}, "tokenizer_path": "b"}, "set either path, or config"),
        ({"config": {}}, "set tokenizer_path"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        llama(**options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_sizes": 32}, r"model\.config\.hidden_sizes.*Did you mean 'hidden_size'"),
        ({"hidden_size": "wide"}, "expected int, got str"),
        ({"hidden_size": 30}, "not a multiple of the number of attention heads"),
    ],
)
def test_a_wrong_field_is_found_with_the_tokenizer(
    toy: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        llama(config=SMALL | fields, tokenizer_path=str(toy)).tokenizer()


def test_a_missing_config_file_is_an_error(toy: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.json: the file is missing"):
        llama(config="nowhere.json", tokenizer_path=str(toy)).preflight()


def test_preflight_needs_no_torch(toy: Path) -> None:
    code = (
        "import sys; from lorafw_llama.model import Llama;"
        f"Llama(path={str(toy)!r}).preflight();"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

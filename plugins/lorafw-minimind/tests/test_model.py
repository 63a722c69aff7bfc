from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import ConfigError, ModelError
from lorafw.testing.toys import toy_tokenizer
from lorafw.testing.values import logits_of
from lorafw.types import Encoded, Task
from lorafw_minimind._tensors import read_tensors
from lorafw_minimind.generations import Generation
from lorafw_minimind.model import MiniMind

ON_CPU = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
HEADS: dict[str, Any] = {"n_heads": 4, "n_kv_heads": 2}
ROW = [Encoded((5, 9, 11, 4), (5, 9, 11, 4))]
Tensors = Callable[..., dict[str, Tensor]]


def build(path: Path, **options: Any) -> ModelBundle:
    builder = MiniMind.from_mapping({"path": str(path), **options}, where="model")
    return builder.build(ON_CPU, toy_tokenizer())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "full_sft_32.pth"


@pytest.fixture
def first(tiny_tensors: Tensors) -> dict[str, Tensor]:
    return tiny_tensors(Generation.LMCONFIG, experts=False)


@pytest.fixture
def third(tiny_tensors: Tensors) -> dict[str, Tensor]:
    return tiny_tensors(Generation.MINIMIND3, experts=True)


def as_saved(tensors: dict[str, Tensor], file: Path, **options: Any) -> Tensor:
    torch.save(tensors, file)
    return logits_of(build(file, **options), ROW)


def test_known_leftovers_and_wrappers_are_ignored(first: dict[str, Tensor], file: Path) -> None:
    wanted = as_saved(first, file, **HEADS)
    older = {**first, "layers.0.attention.mask": torch.ones(9, 9), "pos_cis": torch.ones(3)}
    wrapped = {f"module.{name}": tensor for name, tensor in older.items()}
    assert torch.equal(as_saved(wrapped, file, **HEADS), wanted)


def test_a_tied_pair_may_be_stored_apart_or_once(first: dict[str, Tensor], file: Path) -> None:
    half = {name: tensor.half() for name, tensor in first.items()}
    assert half["output.weight"] is not half["tok_embeddings.weight"]
    wanted = as_saved(half, file, **HEADS)
    del half["output.weight"]
    assert torch.equal(as_saved(half, file, **HEADS), wanted)
    bundle = build(file, **HEADS)
    assert bundle.head_weight is bundle.module.get_parameter("model.embed_tokens.weight")
    assert bundle.head_weight.dtype == torch.float32


def test_a_head_of_its_own_stays_apart(first: dict[str, Tensor], file: Path) -> None:
    first["output.weight"] = first["output.weight"] * 2
    torch.save(first, file)
    bundle = build(file, **HEADS)
    weight = bundle.head_weight
    assert weight is not None
    assert torch.equal(weight, first["output.weight"])
    config = MiniMind(path=str(file), **HEADS).native_config()
    assert config["tie_word_embeddings"] is False


def test_folders_in_the_layout_of_transformers(
    third: dict[str, Tensor], file: Path, tmp_path: Path
) -> None:
    wanted = as_saved(third, file)
    folder = tmp_path / "published"
    folder.mkdir()
    config = {"model_type": "minimind", "num_attention_heads": 4, "num_experts_per_tok": 1}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(third, folder / "pytorch_model.bin")
    assert torch.equal(logits_of(build(folder), ROW), wanted)
    parts = {f"pytorch_model-{at}.bin": list(third)[at::2] for at in range(2)}
    for name, keys in parts.items():
        torch.save({key: third[key] for key in keys}, folder / name)
    where = {key: name for name, keys in parts.items() for key in keys}
    (folder / "pytorch_model.bin").unlink()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    assert torch.equal(logits_of(build(folder), ROW), wanted)
    third.pop("lm_head.weight")
    save_file(third, folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert torch.equal(logits_of(build(folder), ROW), wanted)


@pytest.mark.parametrize("generation", list(Generation))
def test_the_score_of_a_single_expert(
    generation: Generation, tiny_tensors: Tensors, file: Path
) -> None:
    """Two experts that are one: with both chosen, scores of half each make it whole.

    With one chosen, the code of 2026 takes it whole and earlier code takes half of it.
    """
    tensors = tiny_tensors(generation, experts=True)
    for name in tensors:
        if name.endswith("gate.weight"):
            tensors[name] = torch.zeros(2, tensors[name].shape[1])
    tensors = {
        name: tensors[name.replace("experts.1.", "experts.0.")]
        for name in tensors
        if not (".experts.2." in name or ".experts.3." in name)
    }
    one, both = (as_saved(tensors, file, **HEADS, num_experts_per_tok=n) for n in (1, 2))
    assert torch.allclose(one, both, atol=1e-5) == (generation is Generation.MINIMIND3)


def test_options_go_before_the_config(third: dict[str, Tensor], tmp_path: Path) -> None:
    config = {"model_type": "minimind", "rope_theta": 1e4, "rms_norm_eps": 1e-3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(third, tmp_path / "model.pth")
    form = MiniMind(path=str(tmp_path), norm_eps=1e-2).architecture()
    assert (form.rope_theta, form.rms_norm_eps, form.aux_loss_coef) == (1e4, 1e-2, 5e-4)


def test_the_identity_follows_content_and_reading(first: dict[str, Tensor], file: Path) -> None:
    torch.save(first, file)
    base = build(file, **HEADS).base
    assert build(file, **HEADS, aux_loss_coef=0.5, dtype="bf16").base == base
    assert build(file, **HEADS, rope_theta=1e4).base != base
    first["norm.weight"][0] += 1
    torch.save(first, file)
    assert build(file, **HEADS).base != base


def test_the_outline_tells_what_would_be_built(
    first: dict[str, Tensor], third: dict[str, Tensor], file: Path
) -> None:
    for tensors, generation in ((first, "2025-02"), (third, "2026")):
        torch.save(tensors, file)
        found = MiniMind(path=str(file), **HEADS).outline()
        bundle = build(file, **HEADS)
        assert (found.generation, found.lora_targets) == (generation, bundle.lora_targets)
        wanted = {name: p.shape for name, p in bundle.module.named_parameters()}
        assert {name: p.shape for name, p in found.module.named_parameters()} == wanted
        assert found.segments
    third.pop("model.norm.weight")
    torch.save(third, file)
    with pytest.raises(ModelError, match=r"missing, first model\.norm"):
        MiniMind(path=str(file)).outline()


def test_its_files_are_recognised(first: dict[str, Tensor], file: Path, tmp_path: Path) -> None:
    assert not MiniMind.recognises(tmp_path)
    torch.save(first, file)
    assert MiniMind.recognises(file)
    torch.save({"weight": torch.ones(1)}, file)
    assert not MiniMind.recognises(file)
    file.write_bytes(b"PK")
    assert not MiniMind.recognises(file)
    for family in ("minimind", "llama"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
        assert MiniMind.recognises(tmp_path) is (family == "minimind")


def test_a_file_that_changes_is_read_again(
    first: dict[str, Tensor], third: dict[str, Tensor], file: Path
) -> None:
    builder = MiniMind(path=str(file), **HEADS)
    rows = torch.arange(32.0)[:, None]
    name = "model.layers.0.self_attn.q_proj.weight"
    torch.save(first, file)
    assert list(builder.native_state(name, rows)) == ["layers.0.attention.wq.weight"]
    torch.save(third, file)
    assert list(builder.native_state(name, rows)) == [name]


Change = Callable[[dict[str, Tensor]], object]
FAULTS: dict[str, tuple[Change, dict[str, Any], str]] = {
    "missing": (lambda t: t.pop("norm.weight"), HEADS, "1 tensors are missing, first model.norm"),
    "too many": (lambda t: t.update(extra=torch.ones(1)), HEADS, "have no place.*first extra"),
    "shape": (
        lambda t: t.update({"layers.1.attention.wo.weight": torch.ones(32, 16)}),
        HEADS,
        r"layers\.1\.self_attn\.o_proj\.weight has shape \[32, 16\].*\[32, 32\]",
    ),
    "whole numbers": (
        lambda t: t.update({"norm.weight": torch.ones(32, dtype=torch.int8)}),
        HEADS,
        r"model\.norm\.weight holds numbers of type torch\.int8",
    ),
    "no heads": (lambda t: None, {}, r"8 heads and 2 key-value heads.*Set model\.n_heads"),
    "few heads": (lambda t: None, {"n_heads": 3}, r"3 heads.*Set model\.n_heads"),
    "kv heads": (lambda t: None, {"n_heads": 4, "n_kv_heads": 4}, r"4 key-value heads do not"),
    "generation": (lambda t: None, {**HEADS, "generation": "2026"}, r"of generation 2025-02, not"),
    "other names": (lambda t: t.pop("tok_embeddings.weight"), HEADS, "holds no MiniMind weights"),
    "no layer": (
        lambda t: t.pop("layers.0.attention.wq.weight"),
        HEADS,
        r"layers\.0\.self_attn\.q_proj\.weight is missing",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_that_does_not_fit_is_one_error(
    first: dict[str, Tensor], file: Path, fault: str
) -> None:
    change, options, message = FAULTS[fault]
    change(first)
    torch.save(first, file)
    with pytest.raises(ModelError, match=message) as raised:
        build(file, **options)
    assert str(file) in str(raised.value)


def test_what_is_said_and_cannot_be_is_refused(
    third: dict[str, Tensor], file: Path, tmp_path: Path
) -> None:
    torch.save(third, file)
    with pytest.raises(ModelError, match=r"5 experts per token of 4\. Set model\.num_experts"):
        build(file, num_experts_per_tok=5)
    torch.save(third, tmp_path / "model.pth")
    for said, message in (
        ({"scoring_func": "sigmoid"}, "score by 'sigmoid'"),
        ({"hidden_size": 64}, "says hidden_size 64, the tensors have 32"),
        ({"n_heads": "4"}, "says num_attention_heads '4'"),
        ({"norm_topk_prob": 1}, "says norm_topk_prob 1"),
        ({"rms_norm_eps": -1}, "says rms_norm_eps -1"),
        ({"rope_theta": 1}, "rope_theta is 1.0"),
    ):
        config = json.dumps({"model_type": "minimind", **said})
        (tmp_path / "config.json").write_text(config)
        with pytest.raises(ModelError, match=message):
            build(tmp_path)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run by a pickle",))


class Blocked:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("false",))


def written(file: Path, kind: str, tensors: dict[str, Tensor]) -> None:
    torch.save(CONTENTS.get(kind, dict)(tensors), file)
    whole = file.read_bytes()
    if kind in BYTES:
        file.write_bytes(BYTES[kind](whole))


CONTENTS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "code": lambda tensors: {**tensors, "x": Harmful()},
    "blocked": lambda tensors: {**tensors, "x": Blocked()},
    "numbered": lambda tensors: dict(enumerate(tensors.values())),
    "list": lambda tensors: list(tensors.values()),
    "training checkpoint": lambda tensors: {"model": tensors, "step": 3},
    "LoRA": lambda _: {"layers.0.attention.wq.lora.A.weight": torch.ones(2, 32)},
}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "cut short": lambda whole: whole[:10],
    "empty": lambda _: b"",
    "plain pickle": lambda _: pickle.dumps(Harmful()),
    "no pickle": lambda _: b"version https://git-lfs.github.com/spec/v1\nsize 12\n",
}
BROKEN = {
    "cut off": "cannot be read.*cut off; fetch it again",
    "cut short": "cannot be read|more than plain tensors",
    "empty": "cannot be read.*cut off; fetch it again",
    "code": "holds more than plain tensors.*could run code",
    "plain pickle": "holds more than plain tensors.*could run code",
    "blocked": r"holds more than plain tensors: .*posix.*blocked\. lorafw opens no pickles",
    "no pickle": r"holds more than plain tensors: not as torch\.save writes them",
    "numbered": "0 in it is a Tensor",
    "list": "holds a list, not named tensors",
    "training checkpoint": "'model' in it is a dict.*Give the file of the weights alone",
    "LoRA": "is a LoRA file, not a model",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_of_something_else_is_one_error(
    first: dict[str, Tensor], file: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(file, kind, first)
    with pytest.raises(ModelError, match=BROKEN[kind]) as raised:
        build(file, **HEADS)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "weights_only" not in str(raised.value)
    assert "run by a pickle" not in capsys.readouterr().out


def attempt(file: Path) -> dict[str, Tensor] | ModelError:
    try:
        return read_tensors([file])
    except ModelError as error:
        return error


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_one_error_or_tensors(file: Path, data: st.DataObject) -> None:
    """Old files of torch.save are a row of pickles, without any checksum."""
    tensors = {"norm.weight": torch.ones(2)}
    torch.save(tensors, file, _use_new_zipfile_serialization=data.draw(st.booleans()))
    content = bytearray(file.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = attempt(file)
    if isinstance(found, ModelError):
        assert str(file) in str(found)
    else:
        assert all(isinstance(tensor, Tensor) for tensor in found.values())


def test_a_cut_safetensors_file_is_one_error(third: dict[str, Tensor], tmp_path: Path) -> None:
    third.pop("lm_head.weight")
    (tmp_path / "config.json").write_text('{"model_type": "minimind"}')
    file = tmp_path / "model.safetensors"
    save_file(third, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"cannot be read.*fetch it again"):
        build(tmp_path)


def test_what_is_missing_is_said_before_anything_heavy(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        MiniMind(path=str(file)).preflight()
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match=r"of type 'llama', not a MiniMind.*Use model auto"):
        MiniMind(path=str(tmp_path)).preflight()
    (tmp_path / "config.json").write_text('{"model_type": "minimind"}')
    with pytest.raises(ModelError, match="there are no weights"):
        MiniMind(path=str(tmp_path)).preflight()
    file.write_bytes(b"")
    with pytest.raises(ModelError, match="there is no tokenizer"):
        MiniMind(path=str(file)).tokenizer()
    with pytest.raises(ConfigError, match=r"model\.n_heads"):
        MiniMind.from_mapping({"path": str(file), "n_heads": 0}, where="model")


def test_a_tokenizer_with_too_many_ids_is_refused(first: dict[str, Tensor], file: Path) -> None:
    for name in ("tok_embeddings.weight", "output.weight"):
        first[name] = first[name][:8].clone()
    torch.save(first, file)
    with pytest.raises(ModelError, match="the model only 8"):
        build(file, **HEADS)


@pytest.mark.parametrize("name", ["minimind-2025-02", "minimind-2026"])
def test_the_tokenizer_tells_the_encoder(shared: Path, file: Path, name: str) -> None:
    folder = shared / "data" / "tokenizers" / name
    builder = MiniMind(path=str(file), tokenizer_path=str(folder))
    assert builder.default_encoder(Task.CAUSAL_LM) == name


def test_the_april_tokenizer_is_known_by_its_marks(file: Path, tmp_path: Path) -> None:
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    added = [{"id": number, "content": mark} for number, mark in enumerate(marks)]
    content = {"added_tokens": added, "model": {"vocab": {str(n): n for n in range(6400)}}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    builder = MiniMind(path=str(file), tokenizer_path=str(tmp_path))
    assert builder.default_encoder(Task.CAUSAL_LM) == "minimind-2025-04"
    content["model"] = {"vocab": {str(n): n for n in range(6399)}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert builder.default_encoder(Task.CAUSAL_LM) == "prompt"
    (tmp_path / "tokenizer.json").unlink()
    assert builder.default_encoder(Task.CAUSAL_LM) == "prompt"


def test_preflight_needs_no_torch(first: dict[str, Tensor], file: Path) -> None:
    torch.save(first, file)
    code = (
        "import sys; from lorafw_minimind.model import MiniMind; from lorafw.types import Task;"
        f"m = MiniMind(path={str(file)!r}); m.preflight(); m.default_encoder(Task.CAUSAL_LM);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

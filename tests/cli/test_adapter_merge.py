"""`lorafw adapter merge`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from tests.cli.adapters import assert_one_line, call
from transformers import AutoModelForCausalLM

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.models import folder as folders
from lorafw.testing.toys import toy_folder
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

TARGETS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj")
SIZES = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}
IDS = [1, 5, 9, 7, 12]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base") / "toy", **SIZES)


def adapter(folder: Path, base: Path, **model: Any) -> Path:
    """An adapter of the toy in a folder."""
    generator = torch.Generator().manual_seed(0)
    shapes = {TARGETS[0]: (64, 64), TARGETS[1]: (128, 64)}
    tensors = {}
    for target, (rows, columns) in shapes.items():
        down, up = canonical_pair(target)
        tensors[down] = torch.randn(4, columns, generator=generator) * 0.3
        tensors[up] = torch.randn(rows, 4, generator=generator) * 0.3
    state = AdapterState(AdapterSpec(rank=4, alpha=8.0, targets=TARGETS), tensors)
    recipe = {
        "model": {"use": "auto", "path": str(base), **model},
        "base": folders.identity(base),
        "encoder": {"use": "prompt"},
    }
    folder.mkdir()
    write_adapter(folder, state, base_path=str(base), recipe=recipe)
    return folder


def difference(result: Result) -> float:
    """The largest difference of a logit, as it was printed."""
    assert result.exit_code == 0, result.output
    found = re.search(r"Largest difference of a logit: (\S+),", result.stdout)
    assert found, result.stdout
    return float(found[1])


def plain_logits(folder: Path) -> torch.Tensor:
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([IDS])).logits[0]
    return logits


def test_the_merged_folder_answers_as_base_and_adapter(tmp_path: Path, base: Path) -> None:
    source, out = adapter(tmp_path / "a", base), tmp_path / "merged"
    result = call("merge", source, out)
    assert difference(result) < 1e-5
    assert result.stdout.startswith("Opened with transformers ")
    assert "; nothing was rounded." in result.stdout
    assert result.stdout.endswith(f"Wrote {out}.\n")
    wanted = lorafw.load(source).logits(IDS)
    assert float((plain_logits(out) - wanted).abs().max()) < 1e-5
    assert float((plain_logits(base) - wanted).abs().max()) > 1e-2
    merged = lorafw.load(out)
    assert merged.encoder.model_dump() == lorafw.load(source).encoder.model_dump()


@pytest.mark.parametrize(("dtype", "limit"), [("bf16", 0.2), ("fp16", 0.02)])
def test_rounding_is_measured_and_told(
    tmp_path: Path, base: Path, dtype: str, limit: float
) -> None:
    asked = ("merge", adapter(tmp_path / "a", base), tmp_path / "m", "--dtype", dtype)
    assert_one_line(call(*asked), 1, "rounding changes it", "likeliest token", "--accept-loss")
    assert not (tmp_path / "m").exists()
    result = call(*asked, "--accept-loss")
    assert 1e-6 < difference(result) < limit
    assert "rounded, as accepted" in result.stdout
    stored = json.loads((tmp_path / "m/config.json").read_text())["dtype"]
    assert stored == {"bf16": "bfloat16", "fp16": "float16"}[dtype]


@pytest.mark.parametrize(("kind", "limit"), [("nf4", 1e-4), ("int8", 0.1)])
def test_a_quantised_base_is_merged_as_the_numbers_it_was_trained_with(
    tmp_path: Path, base: Path, kind: str, limit: float
) -> None:
    pytest.importorskip("bitsandbytes")
    source = adapter(tmp_path / "a", base, quantize=kind)
    trained = difference(call("merge", source, tmp_path / "trained"))
    files = call("merge", source, tmp_path / "files", "--base-weights", "files")
    assert trained < limit
    assert difference(files) < 1e-5, "compared with the base as its files have it"
    assert "quantization_config" not in json.loads((tmp_path / "trained/config.json").read_text())
    wanted = lorafw.load(source).logits(IDS)
    off = [float((plain_logits(tmp_path / n) - wanted).abs().max()) for n in ("trained", "files")]
    assert off[0] < off[1], "the numbers of the bits are nearer to what was trained"


def test_a_merged_model_is_not_merged_again(tmp_path: Path, base: Path) -> None:
    source = adapter(tmp_path / "a", base)
    assert call("merge", source, tmp_path / "m").exit_code == 0
    assert_one_line(call("merge", tmp_path / "m", tmp_path / "n"), 1, "merged already")
    onto_itself = call("merge", source, tmp_path / "n", "--base", tmp_path / "m")
    assert_one_line(onto_itself, 1, "was trained on the base")
    forced = call("merge", source, tmp_path / "n", "--base", tmp_path / "m", "--any-base")
    assert_one_line(forced, 1, "merged already")
    assert not (tmp_path / "n").exists()


def test_another_base_is_refused_unless_told_otherwise(tmp_path: Path, base: Path) -> None:
    source, other = adapter(tmp_path / "a", base), toy_folder(tmp_path / "other", seed=1, **SIZES)
    out = tmp_path / "m"
    assert_one_line(call("merge", source, out, "--base", other), 1, "was trained on the base")
    assert not out.exists()
    assert difference(call("merge", source, out, "--base", other, "--any-base")) < 1e-5


def test_what_is_no_adapter_and_what_is_there_are_refused(tmp_path: Path, base: Path) -> None:
    source = adapter(tmp_path / "a", base)
    assert_one_line(call("merge", base, tmp_path / "m"), 1, "is no adapter")
    assert_one_line(call("merge", source, source), 2, "is there already")
    (source / "adapter_model.safetensors").write_bytes(b"cut off")
    assert_one_line(call("merge", source, tmp_path / "m"), 1, "is damaged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_merged_model_that_answers_otherwise_is_not_written(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorafw.builtin import _shards

    real = _shards.ShardWriter.add
    spoilt = f"{TARGETS[0]}.weight"
    monkeypatch.setattr(
        _shards.ShardWriter,
        "add",
        lambda writer, name, tensor: real(writer, name, -tensor if name == spoilt else tensor),
    )
    result = call("merge", adapter(tmp_path / "a", base), tmp_path / "m")
    assert_one_line(result, 1, "it computes something else", "largest difference of a logit")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_memory_holds_one_weight_beside_the_base(tmp_path: Path) -> None:
    """The tensors that are alive while merging, over those of base and adapter."""
    from lorafw.certification import merging

    base = toy_folder(tmp_path / "base", num_hidden_layers=6, **SIZES)
    source, alive = adapter(tmp_path / "a", base), _Alive()
    with alive:
        merging.merge(source, tmp_path / "m")
    largest = max(p.numel() for p in _weights(base).values())
    assert alive.most_at_once <= 3 * largest * 4, "W in fp32, the update, and the sum"


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


class _Alive:
    """Counts bytes of merged tensors that are alive at the same time."""

    def __init__(self) -> None:
        self.most_at_once = 0

    def __enter__(self) -> None:
        import weakref

        from lorafw.builtin import _shards

        self._patch, self._now = pytest.MonkeyPatch(), 0
        real = _shards.ShardWriter.add

        def add(writer: Any, name: str, tensor: torch.Tensor) -> None:
            self._now += tensor.nbytes
            self.most_at_once = max(self.most_at_once, self._now)
            weakref.finalize(tensor, self._gone, tensor.nbytes)
            real(writer, name, tensor)

        self._patch.setattr(_shards.ShardWriter, "add", add)

    def _gone(self, size: int) -> None:
        self._now -= size

    def __exit__(self, *failure: object) -> None:
        self._patch.undo()

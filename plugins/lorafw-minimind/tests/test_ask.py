"""A `.pth` is asked as it is, and a LoRA `.pth` with the base it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import lorafw
from lorafw.errors import AdapterError, ModelError, UsageError
from lorafw.testing.toys import toy_tokenizer
from lorafw_minimind.generations import Generation, native_name
from lorafw_minimind.model import MiniMind

GENERATIONS = list(Generation)
OPTIONS = {"n_heads": 4, "n_kv_heads": 2}
WIDTH = 32


def lora_file(path: Path, generation: Generation) -> Path:
    """What upstream's `save_lora` writes: A and B of the square linears."""
    chance = torch.Generator().manual_seed(1)
    tensors: dict[str, Tensor] = {}
    for layer in range(2):
        for part in ("q_proj", "o_proj"):
            name = native_name(f"model.layers.{layer}.self_attn.{part}", generation)
            tensors[f"{name}.lora.A.weight"] = torch.randn(4, WIDTH, generator=chance)
            tensors[f"{name}.lora.B.weight"] = torch.randn(WIDTH, 4, generator=chance)
    torch.save(tensors, path)
    return path


@pytest.fixture(params=GENERATIONS, ids=str)
def full(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tiny_tensors: Callable[..., dict[str, Tensor]],
) -> tuple[Path, Generation]:
    """A full checkpoint without anything beside it."""
    torch.save(tiny_tensors(request.param, experts=False), tmp_path / "full_sft_32.pth")
    toy_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "full_sft_32.pth", request.param


def test_a_full_checkpoint_is_asked(full: tuple[Path, Generation]) -> None:
    path, _ = full
    options = {**OPTIONS, "tokenizer_path": str(path.parent / "tokenizer")}
    model = lorafw.load(path, options=options)
    wanted = MiniMind.from_mapping({"path": str(path), **options}, where="model")
    assert model.bundle.base == lorafw.load(path, options=options).bundle.base
    assert wanted.default_encoder(model.bundle.task) == "prompt"
    answers = model.generate_many(["the cat", "a bird"], max_new_tokens=5)
    assert answers == [model.generate(q, max_new_tokens=5) for q in ("the cat", "a bird")]


def test_a_lora_file_acts_on_its_base(full: tuple[Path, Generation], tmp_path: Path) -> None:
    path, generation = full
    options = {**OPTIONS, "tokenizer_path": str(path.parent / "tokenizer")}
    lora = lora_file(tmp_path / "lora_identity_32.pth", generation)
    tuned = lorafw.load(lora, base=path, options=options)
    base = lorafw.load(path, options=options)
    ids = [5, 9, 7]
    assert torch.equal(tuned.logits(ids, adapter=False), base.logits(ids))
    assert float((tuned.logits(ids) - base.logits(ids)).abs().max()) > 0.1
    merged = lorafw.load(lora, base=path, options=options, adapter_merged=True)
    torch.testing.assert_close(merged.logits(ids), tuned.logits(ids), rtol=0, atol=2e-4)


def test_what_is_missing_is_said(full: tuple[Path, Generation], tmp_path: Path) -> None:
    path, generation = full
    with pytest.raises(ModelError, match="set tokenizer_path"):
        lorafw.load(path, options=OPTIONS)
    with pytest.raises(AdapterError, match="does not name its base model"):
        lorafw.load(lora_file(tmp_path / "lora.pth", generation))
    with pytest.raises(UsageError, match="is a whole model"):
        lorafw.load(path, base=path)

"""A run from start to end, on MiniMind's own data with its own tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lorafw
from lorafw.assembly.registry import Registry
from lorafw.inference.loading import load
from lorafw_minimind.generations import Generation
from lorafw_minimind.lora_pth import read_lora_pth
from lorafw_minimind.model import MiniMind

TOKENIZERS = {
    Generation.LMCONFIG: "minimind-2025-02",
    Generation.MINIMIND3: "minimind-2026",
}


@pytest.fixture
def model(shared: Path, tmp_path: Path, tiny_tensors: Callable[..., dict[str, Tensor]]) -> Any:
    def options(generation: Generation) -> dict[str, Any]:
        tensors = tiny_tensors(generation, experts=True, vocabulary=6400)
        torch.save(tensors, tmp_path / "full_sft_32_moe.pth")
        return {
            "path": str(tmp_path / "full_sft_32_moe.pth"),
            "tokenizer_path": str(shared / "data" / "tokenizers" / TOKENIZERS[generation]),
            "n_heads": 4,
            "n_kv_heads": 2,
        }

    return options


@pytest.mark.parametrize(
    ("generation", "injector"),
    [(Generation.LMCONFIG, "peft"), (Generation.MINIMIND3, "custom")],
)
def test_train_export_and_ask(
    shared: Path, tmp_path: Path, model: Any, generation: Generation, injector: str
) -> None:
    options = model(generation)
    result = lorafw.run(
        {
            "run": {"output": str(tmp_path / "run"), "seed": 1},
            "dataset": {"use": "jsonl", "path": str(shared / "data/identity/lora_identity.jsonl")},
            "model": {"use": "minimind", **options},
            "injector": {"use": injector, "r": 4},
            "trainer": {"use": "ddp"},
            "plan": {"max_steps": 3, "global_batch_size": 4, "learning_rate": 0.01},
            "exporters": [{"use": "adapter"}, {"use": "merged"}, {"use": "minimind-pth"}],
            "listeners": [],
        }
    )
    assert result.evaluation["loss"] < result.evaluation_before["loss"]
    trained = load(result.exports["adapter"])
    ids = trained.encode("Who are you?").input_ids
    wanted = trained.logits(ids)
    assert float((wanted - trained.logits(ids, adapter=False)).abs().max()) > 1e-2
    merged = load(result.exports["merged"])
    assert float((merged.logits(ids) - wanted).abs().max()) < 1e-4
    assert len(trained.continue_ids(ids, max_new_tokens=4)) <= 4
    folder = result.exports["minimind-pth"]
    note = json.loads((folder / "minimind.json").read_text())
    state = read_lora_pth(folder / note["lora"], MiniMind(**options).architecture())
    assert trained.adapted is not None
    for name, value in trained.adapted.state().tensors.items():
        scale = 1.0 if ".lora_A" in name else 4.0  # alpha 16 over rank 4, folded into B
        torch.testing.assert_close(state.tensors[name] / scale, value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", TOKENIZERS.values())
def test_the_encoders_it_asks_for_are_there(name: str) -> None:
    assert Registry().load("encoder", name)

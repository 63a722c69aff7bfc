"""Whole runs with injector `peft`: what a resumed run ends with."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

import lorafw
from lorafw.testing.toys import WORDS, toy_folder
from lorafw_peft._adapted import PeftAdaptedModel

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 2


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A toy model, and rows for it."""
    place, chance = tmp_path_factory.mktemp("parts"), random.Random(5)
    texts = [chance.choices(WORDS, k=12) for _ in range(24)]
    lines = [{"prompt": " ".join(text[:3]), "response": " ".join(text[3:])} for text in texts]
    rows = place / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {
        "dataset": {"use": "jsonl", "path": str(rows), "eval_fraction": 0.0},
        "model": {"use": "llama", "path": str(toy_folder(place / "base"))},
        "trainer": {"use": "ddp"},
        "plan": {"max_steps": STEPS, "checkpoint_every": 1, "global_batch_size": 6},
        "listeners": [],
    }


def run(parts: dict[str, Any], place: Path, **injector: Any) -> Path:
    config = {**parts, "injector": {"use": "peft", **injector}, "run": {"output": str(place)}}
    return lorafw.run(config).folder


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return found


@pytest.mark.parametrize(
    "injector",
    [{"init": "lora_ga"}, {"method": "ia3"}],
    ids=lambda options: next(iter(options.values())),
)
def test_a_run_resumed_from_its_own_config_ends_the_same(
    injector: dict[str, Any],
    parts: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = run(parts, tmp_path / "run", **injector)
    wanted = adapter(folder)
    shutil.rmtree(folder / "checkpoints" / "train" / f"step-{STEPS:08d}")
    shutil.rmtree(folder / "adapter")
    monkeypatch.setattr(PeftAdaptedModel, "start_from", None)  # a resumed run looks at no rows
    lorafw.run(folder / "run.yaml", resume=True)
    found = adapter(folder)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_a_run_resumed_before_its_first_checkpoint_looks_at_its_rows(
    parts: dict[str, Any], tmp_path: Path
) -> None:
    folder = run(parts, tmp_path / "run", init="eva")
    wanted = adapter(folder)
    shutil.rmtree(folder / "checkpoints" / "train")
    shutil.rmtree(folder / "adapter")
    lorafw.run(folder / "run.yaml", resume=True)
    assert all(torch.equal(adapter(folder)[name], tensor) for name, tensor in wanted.items())

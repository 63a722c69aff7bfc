"""A run that stops early exports its best step, notes it, and refuses what it cannot decide by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import lorafw
from lorafw.errors import ConfigError
from lorafw.testing.toys import WORDS, toy_folder
from lorafw.training.checkpoints.files import read_files

DECIDES = {"evaluate_every": 1, "export_best": True, "early_stopping_patience": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base"))


def config(base: Path, folder: Path, *, held_out: float = 0.3, **plan: Any) -> dict[str, Any]:
    """A rate so high that held-out rows suffer after a step or two."""
    rows = folder / "train.jsonl"
    pairs = [(WORDS[i % 17], WORDS[(i * 7 + 3) % 17]) for i in range(30)]
    lines = [{"prompt": ask, "response": answer} for ask, answer in pairs]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {
        "run": {"output": str(folder / "run"), "cache": False},
        "dataset": {"use": "jsonl", "path": str(rows), "eval_fraction": held_out},
        "model": {"use": "llama", "path": str(base)},
        "injector": {"use": "custom", "r": 4},
        "trainer": "ddp",
        "plan": {"epochs": 20, "learning_rate": 0.1, "warmup_ratio": 0.0, **plan},
        "listeners": [],
    }


def test_the_adapter_is_that_of_the_best_step(base: Path, tmp_path: Path) -> None:
    done = lorafw.run(config(base, tmp_path, **DECIDES))
    told = done.record
    assert told["ended"] == "early stopping"
    assert 0 < told["best_step"] == told["steps"] - DECIDES["early_stopping_patience"]
    assert done.evaluation["loss"] == told["best_figure"]
    assert done.adapter is not None
    place = tmp_path / "run" / "checkpoints" / "train" / f"step-{told['best_step']:08d}"
    state = read_files(place).state
    adapter = load_file(done.adapter / "adapter_model.safetensors")
    assert len(adapter) == len(state)
    for name, tensors in state.items():
        assert adapter[f"base_model.model.{name}"].equal(tensors["value"]), name


def test_without_held_out_rows_it_does_not_start(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plan.early_stopping_patience: there are no held-out"):
        lorafw.run(config(base, tmp_path, held_out=0, **DECIDES))


def test_what_decides_cannot_change_on_resume_but_patience_can(base: Path, tmp_path: Path) -> None:
    asked = config(base, tmp_path, **DECIDES)
    early = lorafw.run(asked).record
    for option, value in {"evaluate_every": 2, "export_best": False}.items():
        other = {**asked, "plan": {**asked["plan"], option: value}}
        with pytest.raises(lorafw.errors.CheckpointError, match="another plan"):
            lorafw.run(other, resume=True)
    patient = {**asked, "plan": {**asked["plan"], "early_stopping_patience": 4}}
    later = lorafw.run(patient, resume=True).record
    assert later["steps"] > early["steps"]

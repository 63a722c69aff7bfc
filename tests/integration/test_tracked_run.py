"""A real run is tracked from the start to the end, and goes on where it was on resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lorafw
from lorafw.errors import LorafwError
from lorafw.testing.toys import WORDS, toy_folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A rate so high that the run soon stops early, and can be told to go on."""
    folder = tmp_path_factory.mktemp("tracked")
    rows = folder / "train.jsonl"
    pairs = [(WORDS[i % 17], WORDS[(i * 7 + 3) % 17]) for i in range(30)]
    lines = [{"prompt": ask, "response": answer} for ask, answer in pairs]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    plan = {"epochs": 20, "learning_rate": 0.1, "evaluate_every": 1}
    return {
        "run": {"output": str(folder / "run"), "cache": False},
        "dataset": {"use": "jsonl", "path": str(rows), "eval_fraction": 0.3},
        "model": {"use": "llama", "path": str(toy_folder(tmp_path_factory.mktemp("base")))},
        "injector": {"use": "custom", "r": 4},
        "trainer": "ddp",
        "plan": {**plan, "early_stopping_patience": 2},
        "listeners": ["csv", "tensorboard"],
    }


def test_a_run_and_its_resume(config: dict[str, Any]) -> None:
    first = lorafw.run(config)
    page = (first.folder / "report.html").read_text(encoding="utf-8")
    assert "early stopping" in page
    assert "resumed" not in page
    plan = {**config["plan"], "early_stopping_patience": 4}
    done = lorafw.run({**config, "plan": plan}, resume=True)
    steps = list(range(done.record["steps"] + 1))
    assert len(steps) > first.record["steps"] + 1
    found = pd.read_csv(done.folder / "metrics.csv")
    assert found["step"].tolist() == steps
    assert found["eval/loss"].notna().all()
    assert found["loss"].iloc[-1] == done.record["last_loss"]
    board = EventAccumulator(str(done.folder / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("train/loss")] == steps[1:]
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert f"resumed after step {first.record['steps']}" in page


def test_a_missing_package_is_told_before_anything_is_written(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorafw.builtin.trackers._packages.find_spec", lambda _: None)
    asked = {**config, "run": {"output": str(tmp_path / "run")}}
    with pytest.raises(LorafwError, match=r"pip install 'lorafw\[tensorboard\]'"):
        lorafw.run(asked)
    assert not (tmp_path / "run").exists()

"""What a checkpoint keeps of the plan is taken over where the plan leaves it open, only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.contracts import TrainPlan
from lorafw.training.checkpoints.settled import kept_in, settled_options, with_kept

KEPT = {"activations": "recompute-mlp", "micro_batch_tokens": 1024}


def checkpoint(folder: Path, stage: str, step: int, about: Any) -> None:
    place = folder / stage / f"step-{step:08d}"
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text(json.dumps(about), encoding="utf-8")


def test_the_newest_of_all_stages_is_asked(tmp_path: Path) -> None:
    checkpoint(tmp_path, "one", 9, {"settled": {}})
    checkpoint(tmp_path, "two", 10, {"settled": KEPT})
    assert kept_in(tmp_path) == KEPT


@pytest.mark.parametrize("about", [{}, {"settled": None}, [], "text"])
def test_an_older_one_says_nothing(tmp_path: Path, about: Any) -> None:
    assert kept_in(tmp_path) == {}
    checkpoint(tmp_path, "train", 1, about)
    assert kept_in(tmp_path) == {}


@pytest.mark.parametrize("tokens", ["auto", "calibrate"])
def test_what_is_open_is_taken_over(tokens: Any) -> None:
    plan = with_kept(TrainPlan(micro_batch_tokens=tokens), KEPT)
    assert settled_options(plan) == KEPT
    assert with_kept(plan, {}) == plan


def test_what_is_said_is_not() -> None:
    plan = TrainPlan(activations="keep", micro_batch_tokens=7)
    assert with_kept(plan, KEPT) == plan
    assert settled_options(plan) == {"activations": "keep", "micro_batch_tokens": 7}

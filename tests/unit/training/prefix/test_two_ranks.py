"""Each of two ranks keeps what its own micro-batches need, under any trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw.testing.forked_ranks import run_on_ranks

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("accelerate", "deepspeed")]


@pytest.mark.parametrize("trainer", ["ddp", *SLOW])
def test_two_ranks_train_to_the_same_bits(trainer: str, tmp_path: Path) -> None:
    module, hidden = "tests.unit.training.prefix.two_ranks", {"CUDA_VISIBLE_DEVICES": ""}
    run_on_ranks(2, module, [str(tmp_path), trainer], log=tmp_path / "log", environment=hidden)
    for rank in (0, 1):
        told = json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8"))
        assert told["equal"]
        assert told["losses"]
        assert told["steps"] == 12
        assert told["passes"] <= 1 + 12  # the trial, and the micro-batches of one epoch
        assert not list((tmp_path / f"machine-{rank}").iterdir())

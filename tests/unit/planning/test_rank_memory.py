from __future__ import annotations

from typing import Any

import pytest

from lorafw.assembly.registry import Registry
from lorafw.planning.rank_memory import rank_memory
from lorafw.planning.step_memory import StepMemory

STEP = StepMemory(
    weights=1000,
    adapter=40,
    gradients=40,
    optimizer=80,
    activations=500,
    head=100,
    libraries=0,
    holes=60,
    layer=200,
    parameters=500,
    trainable=10,
)


def trainer(name: str, **options: Any) -> Any:
    part: Any = Registry().load("trainer", name)
    return part(**options)


def test_a_lone_process_holds_what_a_step_does() -> None:
    found = rank_memory(STEP, trainer("ddp"), 1)
    assert (found.total, found.engine) == (1820, 0)
    assert found.resting == found.total - 660


def test_ranks_of_ddp_hold_everything_and_buckets() -> None:
    found = rank_memory(STEP, trainer("ddp"), 4)
    assert (found.weights, found.optimizer, found.engine) == (1000, 80, 40)


@pytest.mark.parametrize(
    ("stage", "weights", "optimizer"), [(0, 1000, 80), (2, 1000, 40), (3, 500, 40)]
)
def test_zero_shares_what_its_stage_says(stage: int, weights: int, optimizer: int) -> None:
    found = rank_memory(STEP, trainer("deepspeed", zero_stage=stage), 2)
    assert (found.weights, found.optimizer) == (weights, optimizer)

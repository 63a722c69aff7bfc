"""An adapter that surely changes nothing is told by its tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.adapters.layout.effect import can_act
from lorafw.types import AdapterSpec, AdapterState

A, B = "q.lora_A.weight", "q.lora_B.weight"
HEAD = "head.weight"


def state(up: float, head: float | None = None, **spec: Any) -> AdapterState:
    tensors = {A: torch.ones(2, 3), B: torch.full((4, 2), up)}
    tensors |= {} if head is None else {HEAD: torch.full((3, 4), head)}
    trained = () if head is None else ("head",)
    return AdapterState(AdapterSpec(2, 1.0, ("q",), trained=trained, **spec), tensors)


@pytest.mark.parametrize(
    ("adapter", "acts"),
    [
        (state(0.0), False),
        (state(0.1), True),
        (state(0.0, head=1.0), False),
        (state(0.0, head=2.0), True),
        (state(0.0, use_dora=True), True),
        (state(0.0, method="IA3"), True),
    ],
)
def test_it_acts_by_b_or_by_what_was_trained_itself(adapter: AdapterState, acts: bool) -> None:
    assert can_act(adapter, {HEAD: torch.ones(3, 4, dtype=torch.bfloat16)}) is acts


def test_without_the_base_trained_parts_count_as_changed() -> None:
    assert can_act(state(0.0, head=1.0))
    assert not can_act(state(0.0))

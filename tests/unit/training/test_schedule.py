"""The learning rate of every step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.contracts import TrainPlan
from lorafw.training.schedule import learning_rate


def _rates(steps: int, **options: object) -> list[float]:
    plan = TrainPlan.model_validate({"learning_rate": 1.0, **options})
    return [learning_rate(plan, step, steps) for step in range(steps)]


def test_warmup_is_linear_and_reaches_the_peak() -> None:
    assert _rates(10, warmup_ratio=0.4, schedule="constant") == [0.25, 0.5, 0.75, *[1.0] * 7]


def test_linear_falls_evenly() -> None:
    assert _rates(4, warmup_ratio=0, schedule="linear") == [1.0, 0.75, 0.5, 0.25]


def test_cosine_is_half_way_in_the_middle() -> None:
    rates = _rates(8, warmup_ratio=0, schedule="cosine")
    assert rates[0] == 1.0
    assert rates[4] == pytest.approx(0.5)


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from(["cosine", "linear", "constant"]))
def test_never_zero_never_above_the_peak(steps: int, warmup: float, schedule: str) -> None:
    rates = _rates(steps, warmup_ratio=warmup, schedule=schedule)
    assert all(0 < rate <= 1 for rate in rates)

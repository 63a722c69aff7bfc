"""Intervals: what they are at their ends, and against a bootstrap written out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.figures.comparison import compare
from lorafw.figures.resampling import Estimate, Resamples, estimate, total

values = st.lists(st.floats(-100, 100), min_size=1, max_size=20)


def rows(numbers: list[float]) -> list[dict[str, float]]:
    return [{"sum": number, "rows": 1.0} for number in numbers]


def mean(sums: Mapping[str, float]) -> dict[str, float]:
    return {"mean": sums["sum"] / sums["rows"]}


@given(value=st.floats(-100, 100), count=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_identical_rows_leave_no_doubt(value: float, count: int) -> None:
    found = compare(rows([value] * count), None, mean, Resamples(count, count=50))["mean"]
    assert found.base is None
    assert found.difference is None
    expected = pytest.approx(value, abs=1e-9)
    assert (found.model.value, found.model.low, found.model.high) == (expected,) * 3


@given(values, st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_model_does_not_differ_from_itself(numbers: list[float], seed: int) -> None:
    measured, resamples = rows(numbers), Resamples(len(numbers), count=50, seed=seed)
    assert compare(measured, measured, mean, resamples)["mean"].difference == Estimate(0, 0, 0)


@given(values)
@settings(max_examples=20, deadline=None)
def test_an_interval_lies_among_the_rows(numbers: list[float]) -> None:
    found = compare(rows(numbers), None, mean, Resamples(len(numbers), count=50))["mean"].model
    assert found.low is not None
    assert found.high is not None
    assert min(numbers) - 1e-9 <= found.low <= found.high <= max(numbers) + 1e-9


def test_it_is_the_percentile_bootstrap() -> None:
    numbers = np.random.default_rng(1).normal(size=40)
    chance = np.random.default_rng(7)
    means = [numbers[chance.integers(40, size=40)].mean() for _ in range(200)]
    found = compare(rows(numbers.tolist()), None, mean, Resamples(40, count=200, seed=7))["mean"]
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.model.low, found.model.high) == pytest.approx((low, high))


def test_differences_are_paired() -> None:
    spread = [float(n) for n in range(30)]
    better = [number + 1 for number in spread]
    found = compare(rows(better), rows(spread), mean, Resamples(30, count=200))["mean"]
    assert found.difference == Estimate(*(pytest.approx(1.0),) * 3)
    assert found.difference.sure
    assert found.model.high is not None
    assert found.model.high - found.model.value > 1


def test_the_seed_decides() -> None:
    numbers = [1.0, 5.0, 2.0, 9.0, 4.0]
    found = [
        compare(rows(numbers), None, mean, Resamples(5, count=20, seed=seed)) for seed in (3, 3, 4)
    ]
    assert found[0] == found[1] != found[2]


def test_portions_are_drawn_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Resamples(6, count=30).figures(rows([1.0, 2, 3, 4, 5, 6]), mean)["mean"]
    monkeypatch.setattr("lorafw.figures.resampling._AT_ONCE", 42)
    parts = Resamples(6, count=30).figures(rows([1.0, 2, 3, 4, 5, 6]), mean)["mean"]
    assert np.array_equal(whole, parts)


def test_without_resamples_there_is_no_interval() -> None:
    found = compare(rows([1.0, 2.0]), rows([1.0, 1.0]), mean, Resamples(2, count=0))["mean"]
    assert found.difference == Estimate(0.5)
    assert not found.difference.sure


def test_sums_and_estimates() -> None:
    assert total(rows([1.0, 2.5])) == {"sum": 3.5, "rows": 2.0}
    assert estimate(1.0, None) == Estimate(1.0)
    assert not Estimate(1.0, -0.1, 2.0).sure
    assert Estimate(-1.0, -2.0, -0.1).sure

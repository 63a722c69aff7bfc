"""Intervals and tests over runs, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lorafw_continual.statistics import PERMUTED, STUDENT, mean, paired_test

NUMBERS = st.floats(-100, 100, allow_nan=False, width=32)
EIGHTHS = st.integers(-80, 80).map(lambda number: number / 8)
"""Sums of them are exact, so that ties are ties."""


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_the_interval_is_students(values: list[float]) -> None:
    found = mean(values)
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)
    error = stats.sem(values)
    low, high = (
        stats.t.interval(0.95, len(values) - 1, np.mean(values), error)
        if error
        else (found.value, found.value)
    )
    assert found.low == pytest.approx(low, abs=1e-6)
    assert found.high == pytest.approx(high, abs=1e-6)


def test_one_run_has_no_interval() -> None:
    found = mean([0.3])
    assert (found.value, found.half, found.low, found.high) == (0.3, None, None, None)
    assert paired_test([0.3]) is None


def test_eight_differences_of_one_sign_are_two_of_256() -> None:
    found = paired_test([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert found is not None
    assert (found.name, found.p) == (PERMUTED, 2 / 256)


def test_three_differences_by_hand() -> None:
    # sums of |±1 ±2 ±4|: 7 5 3 1, each twice; what is seen is 1 - 2 + 4 = 3
    found = paired_test([1, -2, 4])
    assert found is not None
    assert found.p == 6 / 8


def test_equal_groups_do_not_differ() -> None:
    assert [found.p for n in (3, 20) if (found := paired_test([0.0] * n))] == [1.0, 1.0]


@given(st.lists(EIGHTHS, min_size=2, max_size=9))
def test_the_permutation_test_is_scipys(values: list[float]) -> None:
    found = paired_test(values)
    wanted = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found is not None
    assert found.p == pytest.approx(wanted.pvalue)


def test_many_pairs_are_left_to_student() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, size=30)
    found = paired_test(values.tolist())
    assert found is not None
    assert found.name == STUDENT
    assert found.p == pytest.approx(stats.ttest_rel(values, np.zeros(30)).pvalue)

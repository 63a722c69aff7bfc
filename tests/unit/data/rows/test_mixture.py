"""Shares of a mixture, and which rows fill them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.mixture import shares, taken
from lorafw.types import TextExample

weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=6)


@given(weights, st.integers(1, 10_000))
def test_shares_add_up_and_are_within_one_of_exact(weights: list[float], size: int) -> None:
    counts = shares(weights, size)
    assert sum(counts) == size
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - size * weight / sum(weights)) < 1 + 1e-6


def test_equal_remainders_go_to_the_first() -> None:
    assert shares([1, 1, 1], 4) == [2, 1, 1]
    assert shares([3, 1], 100) == [75, 25]


@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 3), st.randoms())
def test_rows_come_equally_often_whatever_their_order(
    length: int, count: int, seed: int, chance: object
) -> None:
    rows = [TextExample(str(at)) for at in range(length)]
    found = taken(rows, count, seed)
    assert len(found) == count
    times = Counter(found)
    assert {times[row] for row in rows} <= {count // length, count // length + 1}
    chance.shuffle(rows)  # type: ignore[attr-defined]
    assert Counter(taken(rows, count, seed)) == times


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_seed_takes_other_rows(seed: int) -> None:
    rows = [TextExample(str(at)) for at in range(100)]
    assert set(taken(rows, 50, 0)) != set(taken(rows, 50, seed))

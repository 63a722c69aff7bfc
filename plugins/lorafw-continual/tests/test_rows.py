"""Rows of several data sets are one sequence, and samples are what a reservoir holds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.encoded.joined import ChosenRows
from lorafw.data.encoded.packed import lengths_of
from lorafw.types import Encoded
from lorafw_continual._rows import joined, sample


def _rows(count: int, start: int = 0) -> list[Encoded]:
    return [Encoded([start + at], [start + at]) for at in range(count)]


@given(st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=5), st.integers(-30, 30))
def test_joined_rows_are_read_as_a_list_would_be(chosen: list[list[int]], index: int) -> None:
    data = _rows(5)
    rows = joined(*(ChosenRows(data, each) for each in chosen))
    flat = [data[at] for each in chosen for at in each]
    assert list(rows) == flat
    assert len(rows) == len(flat)
    assert lengths_of(rows) == [1] * len(flat)
    assert rows[1:-1] == flat[1:-1]
    if -len(flat) <= index < len(flat):
        assert rows[index] == flat[index]
    else:
        with pytest.raises(IndexError):
            rows[index]


def test_a_sample_has_different_rows_and_follows_from_its_seeds() -> None:
    rows = _rows(50)
    once, again, other = sample(rows, 9, 0, "a"), sample(rows, 9, 0, "a"), sample(rows, 9, 0, "b")
    assert list(once) == list(again) != list(other)
    assert len(set(once.chosen)) == 9
    assert sample(rows, 99, 0).chosen == list(range(50))


def test_every_row_is_as_likely_as_another_to_be_kept() -> None:
    rows, draws = _rows(5), 2000
    counts = Counter(at for seed in range(draws) for at in sample(rows, 2, seed).chosen)
    expected = draws * 2 / 5
    deviation = sum((counts[at] - expected) ** 2 / (expected * 3 / 5) for at in range(5))
    assert deviation < 23.5  # a chi-squared of 4 degrees of freedom is above once in 10 000

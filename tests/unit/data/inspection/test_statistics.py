"""Figures of a split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.inspection.statistics import Bin, lengths, statistics
from lorafw.errors import DataError
from lorafw.types import IGNORE_INDEX, Encoded, LabeledExample, PromptExample


def row(length: int, trained: int, cut: int = 0) -> Encoded:
    labels = [IGNORE_INDEX] * (length - trained) + [7] * trained
    return Encoded([7] * length, labels, cut)


def test_rows_are_counted_by_what_became_of_them() -> None:
    examples = [PromptExample("q", answer) for answer in ("a", "", "b", "c", "")]
    refusal = DataError("the template refuses it.")
    made = [row(10, 4), None, row(8, 2, cut=5), refusal, None]
    told = statistics(examples, made, 8)
    assert (told.rows, told.kept, told.max_length) == (5, 2, 8)
    assert (told.tokens, told.trained_tokens) == (18, 6)
    assert (told.cut_rows, told.cut_tokens, told.most_cut) == (1, 5, 5)
    assert told.left_out == {"empty response": (2, 5)}
    assert told.refused == {"the template refuses it.": (4,)}


def test_no_row_is_kept() -> None:
    told = statistics([PromptExample("q", "")], [None], 8)
    assert (told.rows, told.kept, told.lengths, told.most_cut) == (1, 0, None, 0)


def test_percentiles_are_values_that_occur() -> None:
    found = lengths(list(range(1, 101)))
    assert found is not None
    assert (found.shortest, found.median, found.p95, found.longest) == (1, 50, 95, 100)
    assert lengths([]) is None


def test_bars_have_round_borders() -> None:
    found = lengths([17, 18, 44, 99])
    assert found is not None
    assert found.histogram[0] == Bin(10, 19, 2)
    assert found.histogram[-1] == Bin(90, 99, 1)


@given(st.lists(st.integers(1, 100_000), min_size=1))
def test_the_bars_hold_every_row_once(values: list[int]) -> None:
    found = lengths(values)
    assert found is not None
    assert len(found.histogram) <= 12
    assert sum(each.rows for each in found.histogram) == len(values)
    for each in found.histogram:
        assert each.rows == sum(each.low <= value <= each.high for value in values)
    assert found.shortest <= found.median <= found.p95 <= found.longest
    assert {found.median, found.p95} <= set(values)


@pytest.mark.parametrize("share", [0.5, 0.95])
@given(values=st.lists(st.integers(1, 1000), min_size=1))
def test_a_percentile_is_not_exceeded_by_its_share(share: float, values: list[int]) -> None:
    found = lengths(values)
    assert found is not None
    value = found.median if share == 0.5 else found.p95
    assert sum(each <= value for each in values) >= share * len(values)
    assert sum(each < value for each in values) < share * len(values)


def test_classes_are_counted() -> None:
    examples = [LabeledExample(text, None, label) for text, label in (("a", 1), ("b", 0), ("", 1))]
    told = statistics(examples, [Encoded([5, 6], [1]), Encoded([5], [0]), None], 8)
    assert (told.classes, told.kept, told.tokens) == ({0: 1, 1: 1}, 2, 3)

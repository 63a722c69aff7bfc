"""Rows of any source, split; reading from files is tried in builtin/test_files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.row_dataset import RowDataset
from lorafw.data.rows.row_set import RowSet
from lorafw.data.rows.sources.scanned import Record, Scanned, Source
from lorafw.errors import DataError
from lorafw.types import LabeledExample, Split, TextExample

texts = st.lists(st.text(max_size=2), min_size=1, max_size=20)


def source(name: str, found: Sequence[Any]) -> Source:
    """Texts, rows and faults, as if they stood in a file."""

    def record(at: int, value: Any) -> Scanned:
        if isinstance(value, DataError):
            return value
        return Record(f"{name}:{at}", value if isinstance(value, dict) else {"text": value})

    return Source(name, lambda: (record(at, value) for at, value in enumerate(found, 1)))


@given(texts, st.floats(0, 0.5), st.integers(0, 20))
def test_a_part_of_the_rows_is_held_out(rows: list[str], fraction: float, limit: int) -> None:
    dataset = RowSet(source("a", rows), fraction=fraction, limit=limit)
    train, held_out = dataset.load(Split.TRAIN), dataset.load(Split.EVAL)
    assert not set(train) & set(held_out)
    assert sorted(map(str, [*train, *held_out])) == sorted(str(TextExample(row)) for row in rows)
    assert train
    assert len(held_out) <= limit
    assert dataset.overlap() == 0


@given(texts, texts, st.integers(0, 20))
def test_rows_that_are_held_out_are_not_trained_on(
    rows: list[str], others: list[str], limit: int
) -> None:
    dataset = RowSet(source("a", rows), source("b", others), limit=limit)
    assert dataset.overlap() == sum(row in others for row in rows)
    assert len(dataset.load(Split.EVAL)) == min(limit, len(others))
    kept = [TextExample(row) for row in rows if row not in others]
    if kept:
        assert dataset.load(Split.TRAIN) == kept
    else:
        with pytest.raises(DataError, match="a: every row is also in b"):
            dataset.load(Split.TRAIN)


@given(st.lists(st.sampled_from(["text", 7, DataError("odd")]), min_size=1, max_size=12))
def test_faults_are_as_many_as_there_are(rows: list[Any]) -> None:
    dataset = RowSet(source("a", rows))
    found = list(dataset.faults())
    assert len(found) == len([row for row in rows if row != "text"])
    if found:
        with pytest.raises(DataError) as caught:
            dataset.load(Split.TRAIN)
        assert str(caught.value) == str(found[0])
    else:
        assert len(dataset.load(Split.TRAIN)) == len(rows)


class Memory(RowDataset):
    """Rows that are kept in the program."""

    @property
    def rows(self) -> RowSet:
        train = [{"text": str(at), "label": "odd" if at % 2 else "even"} for at in range(9)]
        return RowSet(source("memory", train), source("more", train[7:]))


def test_a_dataset_needs_no_more_than_a_row_set() -> None:
    dataset = Memory()
    assert dataset.produces is LabeledExample
    assert dataset.labels == ("even", "odd")
    assert [row.text for row in dataset.load(Split.TRAIN)] == list("0123456")  # type: ignore[attr-defined]
    assert not list(dataset.faults())
    assert list(dataset.notices()) == ["2 rows were left out of training: also in more."]
    assert not dataset.origins()

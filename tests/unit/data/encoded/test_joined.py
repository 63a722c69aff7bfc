"""Joined rows are those of their parts, one part behind the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.packed import PackedRows, lengths_of, pack
from lorafw.testing.toys import toy_rows
from lorafw.types import Encoded


class Unreadable(PackedRows):
    """Rows that know their lengths and give nothing else."""

    def __getitem__(self, index: object) -> Encoded:  # type: ignore[override]
        raise AssertionError("a row was read")

    def __iter__(self) -> object:  # type: ignore[override]
        raise AssertionError("rows were read")


@given(st.lists(st.integers(0, 4), max_size=5))
def test_it_is_the_list_of_all_rows(counts: list[int]) -> None:
    parts = [toy_rows(count, seed) for seed, count in enumerate(counts)]
    wanted = [row for part in parts for row in part]
    joined = JoinedRows(parts)
    assert len(joined) == len(wanted)
    assert list(joined) == wanted
    assert [joined[at] for at in range(len(wanted))] == wanted
    assert [joined[at] for at in range(-len(wanted), 0)] == wanted
    assert joined[1:-1] == wanted[1:-1]
    assert lengths_of(joined) == [len(row.input_ids) for row in wanted]
    assert [joined.parts[part][at] for part, at in map(joined.place, range(len(wanted)))] == wanted


@pytest.mark.parametrize("index", [3, -4])
def test_there_are_no_more_rows(index: int) -> None:
    with pytest.raises(IndexError):
        JoinedRows([toy_rows(2), toy_rows(1)])[index]


def test_lengths_are_told_without_reading_rows() -> None:
    first, second = toy_rows(3, 1), toy_rows(2, 2)
    joined = JoinedRows([Unreadable([pack(first)]), Unreadable([pack(second)])])
    assert lengths_of(joined) == [len(row.input_ids) for row in (*first, *second)]
    assert lengths_of(JoinedRows([])) == []

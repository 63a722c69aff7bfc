"""Rows in Arrow columns come back as they went in."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.data.encoded.encoding import fingerprint
from lorafw.data.encoded.packed import SCHEMA, Block, PackedRows, lengths_of, pack
from lorafw.types import IGNORE_INDEX, Encoded

numbers = st.integers(0, 2**31 - 1)


@st.composite
def token_rows(draw: st.DrawFn) -> Encoded:
    ids = draw(st.lists(numbers, max_size=9))
    trained = draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    labels = [i if on else IGNORE_INDEX for i, on in zip(ids, trained, strict=True)]
    return Encoded(ids, labels, draw(st.integers(0, 5)))


class_rows = st.builds(Encoded, st.lists(numbers, max_size=9), numbers.map(lambda n: [n]))
portions = st.lists(st.lists(token_rows(), max_size=5) | st.lists(class_rows, max_size=5))


def plain(row: Encoded) -> tuple[list[int], list[int], int]:
    return list(row.input_ids), list(row.labels), row.cut


@settings(deadline=None)
@given(portions)
def test_rows_come_back(portions: list[list[Encoded]]) -> None:
    whole = [row for portion in portions for row in portion]
    packed = PackedRows(map(pack, portions))
    assert len(packed) == len(whole)
    assert list(map(plain, packed)) == list(map(plain, whole))
    assert [plain(packed[at]) for at in range(len(whole))] == list(map(plain, whole))
    assert lengths_of(packed) == lengths_of(whole)
    assert fingerprint(packed) == fingerprint(whole)


@settings(deadline=None)
@given(st.lists(token_rows(), max_size=5) | st.lists(class_rows, max_size=5))
def test_labels_of_a_whole_block(rows: list[Encoded]) -> None:
    labels = Block(pack(rows)).labels()
    assert [labels[at].tolist() for at in range(len(rows))] == [list(row.labels) for row in rows]


def test_trained_stretches_take_little_room() -> None:
    row = Encoded(list(range(100)), [IGNORE_INDEX] * 60 + list(range(60, 100)))
    assert pack([row]).column("trained").to_pylist() == [[60, 100]]
    assert pack([row]).column("labels").null_count == 1
    assert pack([row]).schema == SCHEMA


def test_rows_are_arrays_that_can_be_counted_and_compared() -> None:
    row = PackedRows([pack([Encoded([5, 6, 7], [IGNORE_INDEX, 6, 7])])])[0]
    assert row == Encoded(array("i", [5, 6, 7]), array("i", [IGNORE_INDEX, 6, 7]))
    assert row.targets == 2


def test_indices_count_from_both_ends_and_know_them() -> None:
    packed = PackedRows([pack([Encoded([n], [n]) for n in part]) for part in ([0, 1], [], [2])])
    assert list(packed[-1].input_ids) == [2]
    assert [list(row.input_ids) for row in packed[:2]] == [[0], [1]]
    for outside in (3, -4):
        with pytest.raises(IndexError):
            packed[outside]


def test_a_number_over_32_bits_is_refused() -> None:
    with pytest.raises(OverflowError):
        pack([Encoded([2**31], [2**31])])

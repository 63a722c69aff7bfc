"""Rows laid out for one forward pass, against the plainest way to say it."""

from __future__ import annotations

from array import array

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw.testing.toys import ToyEncoder
from lorafw.types import IGNORE_INDEX, Encoded, Layout

PAD = 99
tokens = st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=12)
batches = st.lists(tokens, min_size=1, max_size=6)


def rows_of(batch: list[list[tuple[int, bool]]], *, compact: bool) -> list[Encoded]:
    keep = (lambda values: array("i", values)) if compact else list
    return [
        Encoded(
            keep([token for token, _ in row]),
            keep([token if trained else IGNORE_INDEX for token, trained in row]),
        )
        for row in batch
    ]


def shifted(row: Encoded) -> list[int]:
    return [*row.labels[1:], IGNORE_INDEX]


@given(batches, st.booleans())
def test_segments_lie_end_to_end(batch: list[list[tuple[int, bool]]], compact: bool) -> None:
    rows = rows_of(batch, compact=compact)
    laid = ToyEncoder().collate(rows, Layout.SEGMENTS, PAD)
    ends = [sum(len(row) for row in batch[: at + 1]) for at in range(len(batch))]
    assert laid.inputs["input_ids"].tolist() == [token for row in rows for token in row.input_ids]
    assert laid.inputs["position_ids"].tolist() == [at for row in batch for at in range(len(row))]
    assert laid.inputs["cu_seqlens"].tolist() == [0, *ends]
    assert laid.labels.tolist() == [label for row in rows for label in shifted(row)]
    assert laid.inputs["cu_seqlens"].dtype is torch.int32
    assert {laid.inputs[name].dtype for name in ("input_ids", "position_ids")} == {torch.int64}
    assert laid.labels.dtype is torch.int64


@given(batches, st.booleans())
def test_padded_rows_start_at_the_left(batch: list[list[tuple[int, bool]]], compact: bool) -> None:
    rows = rows_of(batch, compact=compact)
    laid = ToyEncoder().collate(rows, Layout.PADDED, PAD)
    longest = max(map(len, batch))

    def filled(values: list[int], pad: int) -> list[int]:
        return values + [pad] * (longest - len(values))

    assert laid.inputs["input_ids"].tolist() == [filled(list(r.input_ids), PAD) for r in rows]
    assert laid.inputs["attention_mask"].tolist() == [filled([1] * len(r), 0) for r in batch]
    assert laid.labels.tolist() == [filled(shifted(row), IGNORE_INDEX) for row in rows]
    assert {t.dtype for t in (*laid.inputs.values(), laid.labels)} == {torch.int64}


@pytest.mark.parametrize("layout", list(Layout))
def test_targets_survive_the_layout(layout: Layout) -> None:
    rows = rows_of([[(1, True), (2, True)], [(3, True)], [(4, False), (5, True)]], compact=True)
    laid = ToyEncoder().collate(rows, layout, PAD)
    assert int((laid.labels != IGNORE_INDEX).sum()) == sum(row.targets for row in rows) == 2

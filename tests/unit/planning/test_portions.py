from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.contracts import TrainPlan
from lorafw.planning.portions import portions
from lorafw.types import Layout

LENGTHS = [10, 2, 2, 2, 30, 4, 4, 4]


def plan(**options: object) -> TrainPlan:
    return TrainPlan.from_mapping({"global_batch_size": 4, **options}, where="plan")


def test_figures_of_rows_that_are_all_seen() -> None:
    found = portions(LENGTHS, plan(epochs=3, micro_batch_tokens=1000), Layout.SEGMENTS, 0, 1)
    assert (found.steps, found.tokens, found.cells) == (6, 3 * sum(LENGTHS), 3 * sum(LENGTHS))
    assert (found.padding, found.micro_batches, found.seen) == (0, 1, 2)
    assert found.padding_if_padded > 0.5


def test_padding_counts_in_padded_batches() -> None:
    found = portions(LENGTHS, plan(micro_batch_tokens=1000), Layout.PADDED, 0, 1)
    assert found.padding == found.padding_if_padded == 1 - found.tokens / found.cells
    assert found.largest_cells == max(LENGTHS) * len(found.largest)


def test_few_steps_are_few() -> None:
    found = portions(LENGTHS, plan(max_steps=1), Layout.SEGMENTS, 0, 1)
    assert (found.steps, found.seen) == (1, 1)


def test_a_long_row_in_no_step_that_was_looked_at_is_the_largest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lorafw.planning.portions.SEEN", 4)
    lengths = [2] * 400 + [500]
    found = portions(lengths, plan(micro_batch_tokens=100), Layout.SEGMENTS, 0, 1)
    assert found.seen == 1
    assert (found.largest, found.largest_cells) == ((400,), 500)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    budget=st.integers(1, 200),
    layout=st.sampled_from(Layout),
    ranks=st.integers(1, 4),
)
def test_no_micro_batch_is_larger_than_the_budget_or_a_row(
    lengths: list[int], budget: int, layout: Layout, ranks: int
) -> None:
    found = portions(lengths, plan(micro_batch_tokens=budget), layout, 0, ranks)
    assert found.tokens == sum(lengths)
    assert found.largest_cells <= max(budget, *lengths)
    assert 0 <= found.padding <= found.padding_if_padded or layout is Layout.PADDED

"""What stays of a row that is too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.row import Row
from lorafw.data.truncate import shares, truncate
from lorafw.types import IGNORE_INDEX

lengths = st.integers(0, 100)
limits = st.integers(8, 64)


def numbered(context: int, answer: int, opening: int = 0) -> Row:
    """A row whose token ids are their own positions; the answer is trained."""
    ids = list(range(context + answer))
    return Row(ids, [IGNORE_INDEX] * context + ids[context:], context, min(opening, context))


@given(context=lengths, answer=st.integers(2, 100), opening=st.integers(0, 2), limit=limits)
def test_opening_end_of_the_context_start_of_the_answer_and_last_token_stay(
    context: int, answer: int, opening: int, limit: int
) -> None:
    row = numbered(context, answer, opening)
    cut = truncate(row, limit)
    assert len(cut.ids) == min(limit, len(row.ids))
    assert cut.cut == len(row.ids) - len(cut.ids)
    assert cut.ids[: row.opening] == row.ids[: row.opening]
    tail = cut.ids[row.opening : cut.answer]
    assert tail == row.ids[: row.answer][len(row.ids[: row.answer]) - len(tail) :]
    said = cut.ids[cut.answer :]
    assert said[:-1] == row.ids[row.answer :][: len(said) - 1]
    assert said[-1] == row.ids[-1]
    assert len(said) >= 2


@given(context=lengths, answer=lengths, limit=limits)
def test_labels_go_with_their_tokens(context: int, answer: int, limit: int) -> None:
    row = numbered(context, answer)
    cut = truncate(row, limit)
    assert cut.labels == [row.labels[token] for token in cut.ids]


@given(context=lengths, answer=lengths, limit=limits)
def test_the_context_is_cut_first_and_keeps_a_quarter(
    context: int, answer: int, limit: int
) -> None:
    kept_context, kept_answer = shares(context, answer, limit)
    assert kept_context + kept_answer == min(context + answer, limit)
    assert kept_context >= min(context, limit // 4)
    if kept_answer < answer:
        assert kept_context == min(context, limit // 4)


def test_examples_of_the_rule() -> None:
    assert shares(100, 20, 64) == (44, 20)
    assert shares(100, 90, 64) == (16, 48)
    assert shares(10, 90, 64) == (10, 54)
    assert truncate(numbered(10, 4, opening=1), 8).ids == [0, 7, 8, 9, 10, 11, 12, 13]
    assert truncate(numbered(2, 12), 8).ids == [0, 1, 2, 3, 4, 5, 6, 13]


def test_a_row_without_an_answer_keeps_its_end() -> None:
    assert truncate(numbered(20, 0, opening=1), 8).ids == [0, 13, 14, 15, 16, 17, 18, 19]

"""What stays of a row that is too long."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rendering.row import Laid, Row
from lorafw.data.rendering.segments import Part
from lorafw.data.rendering.truncate import shares, truncate
from lorafw.testing.toys import ToyEncoder
from lorafw.types import IGNORE_INDEX

lengths = st.integers(0, 100)
limits = st.integers(8, 64)
sides = st.sampled_from(["left", "right"])


def numbered(context: list[tuple[Part, int]], answer: int, end: int = 1) -> Row:
    """A row whose token ids are their own positions; answer and end are trained."""
    ids = count()

    def laid(part: Part, length: int, *, trained: bool = False) -> Laid:
        return Laid([next(ids) for _ in range(length)], part, trained)

    given_ = [laid(part, length) for part, length in context]
    said = laid(Part.ANSWER, answer, trained=True), laid(Part.END, end, trained=True)
    return Row(given_, said)


def framed(head: int, text: int, tail: int, opening: int = 1) -> list[tuple[Part, int]]:
    parts = (Part.OPENING, Part.FIXED, Part.TEXT, Part.FIXED)
    return list(zip(parts, (opening, head, text, tail), strict=True))


def cut(row: Row, max_length: int = 1024, **options: Any) -> Row:
    return truncate(row, ToyEncoder(max_length=max_length, **options))


def ids(row: Row) -> list[int]:
    return [token for each in (*row.context, *row.answer) for token in each.ids]


@given(head=st.integers(0, 3), text=lengths, answer=st.integers(1, 100), limit=limits, side=sides)
def test_opening_beginning_of_the_answer_and_end_stay(
    head: int, text: int, answer: int, limit: int, side: str
) -> None:
    row = numbered(framed(head, text, tail=head), answer, end=2)
    kept = cut(row, limit, truncate=side)
    assert len(kept) == min(limit, len(row))
    assert kept.cut == len(row) - len(kept)
    assert ids(kept)[0] == 0
    said = kept.answer[0].ids
    assert said == row.answer[0].ids[: len(said)]
    assert len(said) >= 1
    assert kept.answer[1] == row.answer[1]


@given(text=lengths, answer=lengths, limit=limits, side=sides)
def test_labels_go_with_their_tokens(text: int, answer: int, limit: int, side: str) -> None:
    kept = cut(numbered(framed(2, text, 2), answer), limit, truncate=side)
    for each in (*kept.context, *kept.answer):
        assert each.labels == (each.ids if each.trained else [IGNORE_INDEX] * len(each.ids))


@given(context=lengths, answer=lengths, limit=limits)
def test_the_context_is_cut_first_and_keeps_a_quarter(
    context: int, answer: int, limit: int
) -> None:
    kept_context, kept_answer = shares(context, answer, limit)
    assert kept_context + kept_answer == min(context + answer, limit)
    assert kept_context >= min(context, limit // 4)
    if kept_answer < answer:
        assert kept_context == min(context, limit // 4)


@given(text=st.integers(30, 100), answer=st.integers(1, 100), limit=st.integers(32, 64), side=sides)
def test_the_templates_own_text_stays_while_the_examples_is_cut(
    text: int, answer: int, limit: int, side: str
) -> None:
    row = numbered(framed(6, text, 5), answer)
    kept = cut(row, limit, truncate=side)
    assert (kept.context[1], kept.context[3]) == (row.context[1], row.context[3])


@given(text=st.integers(30, 100), answer=st.integers(30, 100), side=sides)
def test_something_of_what_the_example_asks_stays(text: int, answer: int, side: str) -> None:
    kept = cut(numbered(framed(6, text, 5), answer), 40, truncate=side)
    assert len(kept.context[2].ids) >= 40 // 2 - 12


def test_the_prompt_is_cut_on_the_side_that_is_asked_for() -> None:
    row = numbered(framed(1, 6, 1), 2)
    assert ids(cut(row, 9, truncate="left")) == [0, 1, 5, 6, 7, 8, 9, 10, 11]
    assert ids(cut(row, 9, truncate="right")) == [0, 1, 2, 3, 4, 8, 9, 10, 11]


def test_two_texts_are_cut_from_the_outside() -> None:
    context = [(Part.TEXT, 5), (Part.FIXED, 2), (Part.TEXT, 5)]
    left, right = (cut(numbered(context, 2), 9, truncate=side) for side in ("left", "right"))
    assert [each.ids for each in left.context] == [[], [5, 6], [8, 9, 10, 11]]
    assert [each.ids for each in right.context] == [[0, 1, 2, 3], [5, 6], []]


def test_prompt_and_response_have_limits_of_their_own() -> None:
    row = numbered(framed(1, 20, 1), 20)
    kept = cut(row, max_prompt_length=7, max_response_length=5)
    assert [len(each.ids) for each in (*kept.context, *kept.answer)] == [1, 1, 4, 1, 4, 1]
    assert kept.cut == 16 + 16


def test_a_frame_that_is_too_long_itself_loses_its_beginning() -> None:
    kept = cut(numbered(framed(20, 4, 2), 9, end=1), 8)
    assert [each.ids for each in kept.context] == [[0], [20], [], [25, 26]]
    assert [each.ids for each in kept.answer] == [[27, 28, 29], [36]]


def test_examples_of_the_rule() -> None:
    assert shares(100, 20, 64) == (44, 20)
    assert shares(100, 90, 64) == (16, 48)
    assert shares(10, 90, 64) == (10, 54)
    assert shares(100, 90, 64, fixed=10) == (26, 38)
    assert shares(100, 90, 64, fixed=50) == (32, 32)
    assert ids(cut(numbered(framed(0, 9, 0), 3), 8)) == [0, 7, 8, 9, 10, 11, 12, 13]
    assert ids(cut(numbered(framed(0, 1, 0), 11), 8)) == [0, 1, 2, 3, 4, 5, 6, 13]


def test_a_row_without_an_answer_keeps_its_end() -> None:
    row = Row([Laid([0], Part.OPENING), Laid(list(range(1, 20)), Part.TEXT)], [])
    assert ids(cut(row, 8)) == [0, 13, 14, 15, 16, 17, 18, 19]

"""Rows are written to be generated, and read again from what was generated."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.encoded.packed import lengths_of
from lorafw.errors import CompositionError
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import IGNORE_INDEX, Encoded
from lorafw_continual._generated_form import Form, WrittenRows, end_of, parted

END = 2
FORM = Form(mark=(50, 51), separator=(60, 61), longest=1000)
WORDS = st.lists(st.integers(3, 40), min_size=1, max_size=6)


def _row(prompt: list[int], answer: list[int]) -> Encoded:
    return Encoded(prompt + answer, [IGNORE_INDEX] * len(prompt) + answer)


@given(WORDS, WORDS)
def test_what_was_written_is_read_again(prompt: list[int], answer: list[int]) -> None:
    row = _row(prompt, [*answer, END])
    written = FORM.written(row)
    assert written.input_ids == [50, 51, *prompt, 60, 61, *answer, END]
    assert written.labels == [IGNORE_INDEX, IGNORE_INDEX, *prompt, 60, 61, *answer, END]
    assert FORM.read(written.input_ids[2:], END) == row
    assert FORM.read([*written.input_ids[2:], 7, 60, 61], END) == row, "what is behind the end"


def test_a_prompt_may_have_the_end_inside() -> None:
    row = _row([4, END, 5], [6, END])
    assert FORM.read(FORM.written(row).input_ids[2:], END) == row


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param([4, 5, 6, END], id="no separator"),
        pytest.param([4, 60, 5, 61, END], id="a torn separator"),
        pytest.param([60, 61, 5, END], id="no prompt"),
        pytest.param([4, 60, 61, END], id="no answer"),
        pytest.param([4, 60, 61], id="nothing behind it"),
        pytest.param([4, 60, 61, 5], id="no end"),
        pytest.param([4, 60, 61, 5, 60, 61, 6, END], id="two separators"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_is_no_row_is_thrown_away(drawn: list[int]) -> None:
    assert FORM.read(drawn, END) is None


def test_long_rows_lose_the_left_of_their_prompt() -> None:
    row, short = _row([4, 5, 6], [7, END]), Form((50, 51), (60, 61), longest=8)
    assert short.written(row).input_ids == [50, 51, 5, 6, 60, 61, 7, END]


@given(WORDS, WORDS, st.integers(7, 20))
def test_a_row_that_was_cut_is_still_one(
    prompt: list[int], answer: list[int], longest: int
) -> None:
    short, row = Form((50, 51), (60, 61), longest), _row(prompt, [*answer, END])
    written = short.written(row).input_ids
    assert len(written) == min(longest, len(row.input_ids) + 4)
    found = short.read(written[2:], END)
    assert found is not None
    asked, said = parted(found)
    assert prompt[-len(asked) :] == asked
    assert [*answer, END][-len(said) :] == said


def test_rows_with_no_room_for_mark_and_separator_are_refused() -> None:
    tokenizer = toy_tokenizer()
    frame = sum(len(tokenizer.encode(text)) for text in ("__cat__", " __ans__ "))
    Form.of("cat", " __ans__ ", tokenizer, frame + 3)
    with pytest.raises(CompositionError, match=rf"task cat: .*Allow {frame + 3} "):
        Form.of("cat", " __ans__ ", tokenizer, frame + 2)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=5), st.integers(8, 14))
def test_written_rows_know_their_lengths(
    texts: list[tuple[list[int], list[int]]], longest: int
) -> None:
    form = Form((50, 51), (60, 61), longest)
    rows = WrittenRows([_row(*text) for text in texts], form)
    assert lengths_of(rows) == [len(row.input_ids) for row in rows]
    assert [rows[at] for at in range(len(rows))] == list(rows)
    assert all(len(row.input_ids) == len(row.labels) for row in rows)


def test_marks_are_texts_with_the_names_of_tasks() -> None:
    tokenizer = toy_tokenizer(adds_bos=True)
    form = Form.of("cat", " __ans__ ", tokenizer, 30)
    assert form.mark == tuple(tokenizer.encode("__cat__", add_special_tokens=False))
    assert form.separator == tuple(tokenizer.encode(" __ans__ ", add_special_tokens=False))
    assert tokenizer.bos_token_id not in (*form.mark, *form.separator)


def test_a_row_is_parted_before_what_is_trained_first() -> None:
    ids = array("i", [4, 5, 6, 7])
    assert parted(Encoded(ids, array("i", [-100, 5, -100, 7]))) == ([4], [5, 6, 7])
    assert parted(Encoded(ids, array("i", [-100] * 4))) == ([4, 5, 6, 7], [])


def test_most_rows_say_what_ends_them() -> None:
    rows = [_row([4], [5, END]), _row([4], [5, 9]), _row([4], [6, END])]
    assert end_of(rows) == END

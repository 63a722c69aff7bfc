"""A split's rows, the report on them, and their fingerprint."""

from __future__ import annotations

import tracemalloc
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.data.encoded.prepare import fingerprint, prepare
from lorafw.errors import DataError
from lorafw.types import IGNORE_INDEX, ChatExample, Encoded, Message, PromptExample, Split

PAIRS = [
    PromptExample("Who are you?", "I am an assistant."),
    PromptExample("Who?", ""),
    PromptExample("Who?" * 50, "I am an assistant."),
]
labels = st.lists(st.integers(-1, 5).map(lambda label: IGNORE_INDEX if label < 0 else label))


@given(labels)
def test_targets_are_the_labels_that_a_position_predicts(values: list[int]) -> None:
    expected = sum(label != IGNORE_INDEX for label in values[1:])
    assert Encoded(values, values).targets == expected
    assert Encoded(array("i", values), array("i", values)).targets == expected


def test_the_report_counts(plain_tokenizer: Any) -> None:
    encoder = Prompt(max_length=32)
    prepared = prepare(PAIRS, encoder, plain_tokenizer, split=Split.TRAIN)
    whole = [encoder.encode(pair, plain_tokenizer) for pair in PAIRS]
    kept = [row for row in whole if row is not None]
    report = prepared.report
    assert [list(row.input_ids) for row in prepared.rows] == [list(row.input_ids) for row in kept]
    assert [list(row.labels) for row in prepared.rows] == [list(row.labels) for row in kept]
    assert (report.rows, report.dropped, report.cut_rows) == (2, 1, 1)
    assert report.cut_tokens == sum(row.cut for row in kept) > 0
    assert report.tokens == sum(len(row.input_ids) for row in kept)
    assert report.targets == sum(row.targets for row in kept) > 0
    assert report.longest == 32


def test_the_notices_say_what_was_cut_and_left_out(plain_tokenizer: Any) -> None:
    prepared = prepare(PAIRS, Prompt(max_length=32), plain_tokenizer, split=Split.TRAIN)
    cut, dropped = prepared.notices()
    assert cut == (
        "1 of 2 rows (train) was longer than max_length 32 and was cut by "
        f"{prepared.report.cut_tokens} tokens in all."
    )
    assert dropped == (
        "1 of 3 rows (train) was left out: nothing to train (no response, or no trained turn)."
    )
    assert prepare(PAIRS[:1], Prompt(), plain_tokenizer, split=Split.EVAL).notices() == []


@pytest.mark.parametrize("pairs", [PAIRS[1:2], []])
def test_nothing_to_train_is_an_error_in_the_training_split_only(
    plain_tokenizer: Any, pairs: list[PromptExample]
) -> None:
    with pytest.raises(DataError, match=r"has no rows|none of the 1 row .*empty response"):
        prepare(pairs, Prompt(), plain_tokenizer, split=Split.TRAIN)
    assert list(prepare(pairs, Prompt(), plain_tokenizer, split=Split.EVAL).rows) == []


def test_an_error_of_the_encoder_tells_the_row(plain_tokenizer: Any) -> None:
    template = (
        "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    short = ChatExample((Message("user", "q"), Message("assistant", "a")))
    long = ChatExample((*short.messages, Message("assistant", "b")))
    with pytest.raises(DataError, match=r"too long.*\(row 2 of split 'train'\)"):
        prepare([short, long], Chat(template=template), plain_tokenizer, split=Split.TRAIN)


def test_rows_take_little_memory(plain_tokenizer: Any) -> None:
    pairs = [PromptExample(f"{at} Who are you? " * 40, "I am. " * 20) for at in range(50)]
    prepare(pairs[:1], Prompt(), plain_tokenizer, split=Split.TRAIN)
    tracemalloc.start()
    prepared = prepare(pairs, Prompt(), plain_tokenizer, split=Split.TRAIN)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / prepared.report.tokens < 12


def test_the_fingerprint_tells_rows_apart() -> None:
    row, other = Encoded([1, 2, 3], [IGNORE_INDEX, 2, 3]), Encoded([1, 2, 3], [1, 2, 3])
    different = [
        [],
        [row],
        [other],
        [row, other],
        [other, row],
        [Encoded([1, 2], [1, 2]), Encoded([3], [3])],
        [Encoded([1], [1]), Encoded([2, 3], [2, 3])],
    ]
    assert len({fingerprint(rows) for rows in different}) == len(different)
    compact = Encoded(array("i", row.input_ids), array("i", row.labels))
    assert fingerprint([row]) == fingerprint([compact])

"""What an encoder makes of each example, faults included."""

from __future__ import annotations

from typing import Any

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.data.encoded.prepare import prepare
from lorafw.data.inspection.outcomes import outcomes
from lorafw.errors import DataError
from lorafw.types import ChatExample, Encoded, Message, PromptExample, Split

TALK = ChatExample((Message("user", "q"), Message("assistant", "a")))
LONG = ChatExample((*TALK.messages, Message("assistant", "b")))
PICKY = (
    "{% if messages | length > 2 %}{{ raise_exception('too long') }}{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)


def test_the_rows_are_those_of_a_run(tokenizer: Any) -> None:
    pairs = [PromptExample(f"Who is {at}?", "I am." * (at % 3)) for at in range(7)]
    found = [row for row in outcomes(pairs, Prompt(), tokenizer) if isinstance(row, Encoded)]
    trained = prepare(pairs, Prompt(), tokenizer, split=Split.TRAIN).rows
    assert [list(row.input_ids) for row in found] == [list(row.input_ids) for row in trained]
    assert [list(row.labels) for row in found] == [list(row.labels) for row in trained]
    assert len(found) == 4


def test_a_row_that_is_refused_does_not_hide_the_others(plain_tokenizer: Any) -> None:
    encoder = Chat(template=PICKY)
    fine, refused, none = outcomes(
        [TALK, LONG, ChatExample(TALK.messages[:1])], encoder, plain_tokenizer
    )
    assert isinstance(fine, Encoded)
    assert isinstance(refused, DataError)
    assert "too long" in str(refused)
    assert none is None


def test_there_can_be_more_rows_than_are_encoded_at_once(plain_tokenizer: Any) -> None:
    pairs = [PromptExample("q", "a")] * 1030
    assert len(list(outcomes(pairs, Prompt(), plain_tokenizer))) == 1030
    assert list(outcomes([], Prompt(), plain_tokenizer)) == []

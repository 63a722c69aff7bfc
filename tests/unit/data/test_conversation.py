"""Conversations taken apart by rendering their beginnings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.conversation import NotAPrefixError, Piece, pieces
from lorafw.types import Message

MARKS = ("<end>",)
contents = st.text(max_size=20)


def plain(messages: Sequence[Message], *, awaiting: bool) -> str:
    text = "".join(f"[{turn.role}] {turn.content}<end>\n" for turn in messages)
    return text + "[assistant] " * awaiting


def open_ended(messages: Sequence[Message], *, awaiting: bool) -> str:
    text = "".join(f"{turn.role}: {turn.content}\n\n" for turn in messages)
    return text + "assistant: " * awaiting


def last_with_thought(messages: Sequence[Message], *, awaiting: bool) -> str:
    thoughts = ["(…) " if turn is messages[-1] else "" for turn in messages]
    turns = [
        f"[{turn.role}] {thought if turn.role == 'assistant' else ''}{turn.content}<end>\n"
        for turn, thought in zip(messages, thoughts, strict=True)
    ]
    return "".join(turns) + "[assistant] " * awaiting


def counted(messages: Sequence[Message], *, awaiting: bool) -> str:
    return f"({len(messages)} turns) " + plain(messages, awaiting=awaiting)


def talk(*contents: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(roles[at % 2], content) for at, content in enumerate(contents)]


@given(question=contents, answer=contents, another=contents, reply=contents)
def test_the_pieces_are_the_text_and_the_turns_are_what_is_answered(
    question: str, answer: str, another: str, reply: str
) -> None:
    messages = talk(question, answer, another, reply)
    found = pieces(messages, [1, 3], plain, MARKS)
    assert "".join(piece.text for piece in found) == plain(messages, awaiting=False)
    turns = [piece for piece in found if piece.turn]
    assert turns == [
        Piece(f"{answer}<end>", messages[1], closed=True),
        Piece(f"{reply}<end>", messages[3], closed=True),
    ]


@given(question=contents, answer=contents.map(lambda text: f"{text}."), another=contents)
def test_without_an_end_mark_a_turn_ends_with_its_content(
    question: str, answer: str, another: str
) -> None:
    messages = talk(question, answer, another)
    found = pieces(messages, [1], open_ended, MARKS)
    assert found[1] == Piece(answer, messages[1], closed=False)
    assert found[-1].text == f"\n\nuser: {another}\n\nassistant: "


def test_white_space_of_the_content_is_content() -> None:
    found = pieces(talk("q", "def f():\n    pass\n"), [1], open_ended, MARKS)
    assert found[1].text == "def f():\n    pass\n"


def test_any_message_can_be_asked_for() -> None:
    messages = talk("q", "a", "r")
    found = pieces(messages, [0, 1, 2], plain, MARKS)
    assert [piece.text for piece in found if piece.turn] == [
        "[user] q<end>",
        "a<end>",
        "[user] r<end>",
    ]
    assert found[-1].text == "\n[assistant] "


def test_a_turn_that_is_written_otherwise_when_last_is_found_from_behind() -> None:
    messages = talk("q", "a", "r", "b", "s")
    found = pieces(messages, [1, 3], last_with_thought, MARKS)
    assert [piece.text for piece in found if piece.turn] == ["a<end>", "b<end>"]
    final = pieces(messages[:4], [1, 3], last_with_thought, MARKS)
    assert [piece.text for piece in final if piece.turn] == ["a<end>", "(…) b<end>"]


def test_a_text_that_does_not_begin_with_its_beginning_is_refused() -> None:
    with pytest.raises(NotAPrefixError) as caught:
        pieces(talk("q", "a", "r", "b"), [1, 3], counted, MARKS)
    assert caught.value.turn == 1

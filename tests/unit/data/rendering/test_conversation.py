"""Conversations taken apart by rendering their beginnings."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rendering.conversation import NotAPrefixError, Piece, pieces
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
    assert "".join(piece.text + piece.end for piece in found) == plain(messages, awaiting=False)
    turns = [piece for piece in found if piece.turn]
    assert turns == [
        Piece(answer, messages[1], "<end>"),
        Piece(reply, messages[3], "<end>"),
    ]


@given(question=contents, answer=contents.map(lambda text: f"{text}."), another=contents)
def test_without_an_end_mark_a_turn_ends_with_its_content(
    question: str, answer: str, another: str
) -> None:
    messages = talk(question, answer, another)
    found = pieces(messages, [1], open_ended, MARKS)
    assert found[1] == Piece(answer, messages[1])
    assert found[-1].text == f"\n\nuser: {another}\n\nassistant: "


def test_white_space_of_the_content_is_content() -> None:
    found = pieces(talk("q", "def f():\n    pass\n"), [1], open_ended, MARKS)
    assert found[1].text == "def f():\n    pass\n"
    assert pieces(talk("q", "\n"), [1], open_ended, MARKS)[1].text == "\n"


def test_what_is_said_to_stand_behind_an_end_mark_belongs_to_it() -> None:
    messages = talk("q", "a", "r", "b")
    found = pieces(messages, [1, 3], plain, MARKS, behind="\n")
    assert [piece.end for piece in found if piece.turn] == ["<end>\n", "<end>\n"]
    assert found[-1].text == ""
    unmarked = pieces(messages, [1, 3], open_ended, MARKS, behind="\n")
    assert [piece.end for piece in unmarked if piece.turn] == ["", ""]


def test_any_message_can_be_asked_for() -> None:
    messages = talk("q", "a", "r")
    found = pieces(messages, [0, 1, 2], plain, MARKS)
    assert [piece.text for piece in found if piece.turn] == ["[user] q", "a", "[user] r"]
    assert {piece.end for piece in found if piece.turn} == {"<end>"}
    assert found[-1].text == "\n[assistant] "


def test_a_turn_that_is_written_otherwise_when_last_is_found_from_behind() -> None:
    messages = talk("q", "a", "r", "b", "s")
    found = pieces(messages, [1, 3], last_with_thought, MARKS)
    assert [piece.text for piece in found if piece.turn] == ["a", "b"]
    final = pieces(messages[:4], [1, 3], last_with_thought, MARKS)
    assert [piece.text for piece in final if piece.turn] == ["a", "(…) b"]


def test_messages_that_are_written_as_one_are_skipped_together() -> None:
    def together(messages: Sequence[Message], *, awaiting: bool) -> str:
        text = last_with_thought(messages, awaiting=awaiting)
        return re.sub(r"(?<=\[tool\] 1)<end>\n\[tool\] ", " and ", text)

    turns = [*talk("q", "a"), Message("tool", "1"), Message("tool", "2"), Message("assistant", "b")]
    found = pieces(turns, [1, 4], together, MARKS)
    assert [piece.text for piece in found] == [
        "[user] q<end>\n[assistant] ",
        "a",
        "\n[tool] 1 and 2<end>\n[assistant] ",
        "(…) b",
        "\n",
    ]


def test_a_text_that_does_not_begin_with_its_beginning_is_refused() -> None:
    with pytest.raises(NotAPrefixError) as caught:
        pieces(talk("q", "a", "r", "b"), [1, 3], counted, MARKS)
    assert caught.value.turn == 1


def test_a_mark_that_the_content_brings_does_not_end_the_turn() -> None:
    messages = talk("q", "say <end>", "r", "<end>")
    unmarked = [piece for piece in pieces(messages, [1, 3], open_ended, MARKS) if piece.turn]
    assert [(piece.text, piece.end) for piece in unmarked] == [("say <end>", ""), ("<end>", "")]
    marked = [piece for piece in pieces(messages, [1, 3], plain, MARKS) if piece.turn]
    assert [(piece.text, piece.end) for piece in marked] == [
        ("say <end>", "<end>"),
        ("<end>", "<end>"),
    ]

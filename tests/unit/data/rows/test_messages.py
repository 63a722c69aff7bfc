"""Turns of a conversation in the ways data sets write them."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.data.rows.messages import CALLER, SPEAKERS, read_messages
from lorafw.errors import DataError
from lorafw.types import Message

TURN = {"role": "user", "content": "hi"}


def test_roles_are_kept_as_they_are() -> None:
    found = read_messages([TURN, {"role": "observation", "content": ""}], "messages")
    assert found == (Message("user", "hi"), Message("observation", ""))


def test_what_functions_answered_is_what_tools_answer() -> None:
    (found,) = read_messages([{"role": "function", "name": "f", "content": "7"}], "messages")
    assert found == Message("tool", "7", name="f")


@pytest.mark.parametrize(("speaker", "role"), SPEAKERS.items())
def test_speakers_become_roles(speaker: str, role: str) -> None:
    turn = {"from": speaker, "value": '{"name": "f", "arguments": {}}'}
    (found,) = read_messages([turn], "conversations")
    assert found.role == role
    assert bool(found.tool_calls) == (speaker == CALLER) == (found.content == "")


@pytest.mark.parametrize(
    ("extra", "train"),
    [
        ({}, None),
        ({"train": None}, None),
        ({"train": True}, True),
        ({"train": False}, False),
        ({"weight": 1}, True),
        ({"weight": 0}, False),
    ],
)
def test_a_turn_can_say_whether_it_is_trained(extra: dict[str, Any], train: bool | None) -> None:
    assert read_messages([{**TURN, **extra}], "messages") == (Message("user", "hi", train),)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("hi", "'messages' must be a list"),
        ([], "at least one"),
        ([TURN, "hi"], r"messages\[1\] must be an object"),
        ([{"role": "user"}], r"messages\[0\] needs 'role' and 'content'.*it has 'role'"),
        ([{"role": 1, "content": "hi"}], r"messages\[0\]\.role must be text, not a number"),
        ([{"role": "user", "content": None}], r"messages\[0\]\.content must be text, not null"),
        ([{"role": "user", "content": [{"type": "text"}]}], r"content must be text, not a list"),
        ([{"from": "humn", "value": "hi"}], "nobody is called 'humn'. Did you mean 'human'"),
        ([{"from": "narrator", "value": "hi"}], "nobody is called 'narrator'. Known: system"),
        ([{**TURN, "train": 0.5}], r"messages\[0\]\.train must be 0 or 1"),
        ([{**TURN, "weight": "1"}], r"messages\[0\]\.weight must be 0 or 1"),
    ],
)
def test_wrong_turns_are_named(value: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_messages(value, "messages")

"""Calls of tools in the ways data sets write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.data.rows.messages import read_messages
from lorafw.errors import DataError
from lorafw.types import Message, ToolCall

CALL = {"name": "weather", "arguments": {"city": "城", "days": 2}}
READ = ToolCall("weather", '{"city": "城", "days": 2}')
SPELT = {**CALL, "arguments": json.dumps(CALL["arguments"])}
objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
).filter(lambda found: "inf" not in repr(found))


def openai(**turn: Any) -> Message:
    (message,) = read_messages([{"role": "assistant", **turn}], "messages")
    return message


def sharegpt(value: str, speaker: str = "function_call") -> Message:
    (message,) = read_messages([{"from": speaker, "value": value}], "conversations")
    return message


@pytest.mark.parametrize("function", [CALL, SPELT])
@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_openai_calls_are_read(function: Any, content: Any) -> None:
    calls = [
        {"id": "c1", "type": "function", "function": function},
        {"id": "c2", "type": "function", "function": {"name": "time", "arguments": ""}},
    ]
    first = ToolCall(READ.name, READ.arguments, "c1")
    wanted = Message("assistant", "", tool_calls=(first, ToolCall("time", "{}", "c2")))
    assert openai(tool_calls=calls, **content) == wanted
    assert openai(tool_calls=json.dumps(calls), **content) == wanted


def test_what_is_said_with_a_call_is_kept_and_so_is_its_weight() -> None:
    found = openai(content="Let me see.", tool_calls=[CALL], weight=0)
    assert found == Message("assistant", "Let me see.", False, (READ,))


@pytest.mark.parametrize("none", [None, [], ""])
def test_no_calls_are_none(none: Any) -> None:
    assert openai(content="a", tool_calls=none) == Message("assistant", "a")


def test_the_older_form_of_one_call_is_read() -> None:
    assert openai(content=None, function_call=SPELT) == Message("assistant", "", None, (READ,))


@pytest.mark.parametrize("value", [CALL, SPELT, [CALL], {"id": "x", "function": CALL}])
def test_sharegpt_says_calls_in_json(value: Any) -> None:
    found = sharegpt(json.dumps(value))
    assert (found.role, found.content) == ("assistant", "")
    assert [(call.name, call.arguments) for call in found.tool_calls] == [
        (READ.name, READ.arguments)
    ]
    assert len(sharegpt(json.dumps([CALL, SPELT])).tool_calls) == 2


@pytest.mark.parametrize("speaker", ["function_call", "gpt"])
def test_a_text_in_the_form_of_a_template_stays_text(speaker: str) -> None:
    text = '\n<tool_call>\n{"name": "weather"}\n</tool_call>'
    assert sharegpt(text, speaker) == Message("assistant", text)


def test_json_that_the_assistant_says_stays_text() -> None:
    assert sharegpt(json.dumps(CALL), "gpt") == Message("assistant", json.dumps(CALL))


def test_an_answer_of_a_tool_says_whose_it_is() -> None:
    turn = {"role": "tool", "content": "20", "name": "weather", "tool_call_id": "c1"}
    (found,) = read_messages([turn], "messages")
    assert found == Message("tool", "20", name="weather", tool_call_id="c1")
    (user,) = read_messages([{"role": "user", "content": "hi", "name": "Ann"}], "messages")
    assert user == Message("user", "hi")


@settings(max_examples=40)
@given(objects)
def test_arguments_survive_as_an_object_and_as_text(arguments: dict[str, Any]) -> None:
    for given_ in (arguments, json.dumps(arguments)):
        (call,) = openai(tool_calls=[{"name": "f", "arguments": given_}]).tool_calls
        assert json.loads(call.arguments) == arguments


@pytest.mark.parametrize(
    ("turn", "fault"),
    [
        ({"tool_calls": [7]}, r"messages\[0\]\.tool_calls\[0\] must be an object"),
        ({"tool_calls": [{"name": "f"}]}, r"tool_calls\[0\] needs 'arguments'; it has 'name'"),
        ({"tool_calls": [{"arguments": {}}]}, "needs 'name'"),
        ({"tool_calls": [{**CALL, "name": ""}]}, r"name is empty"),
        ({"tool_calls": [{**CALL, "name": None}]}, r"name must be text, not null"),
        ({"tool_calls": [{**CALL, "id": 7}]}, r"id must be text, not a number"),
        ({"tool_calls": [{**CALL, "arguments": [1]}]}, r"arguments must be an object, not a list"),
        ({"tool_calls": [{**CALL, "arguments": "{"}]}, r"arguments is not JSON: .* at character 2"),
        ({"tool_calls": [{**CALL, "arguments": '"x"'}]}, r"must be an object, not text"),
        ({"tool_calls": [{**CALL, "arguments": {"a": float("nan")}}]}, "holds what JSON cannot"),
        ({"tool_calls": [{**CALL, "arguments": {"a": b"x"}}]}, "holds what JSON cannot"),
        ({"tool_calls": [{**CALL, "arguments": {"a": "\ud800"}}]}, "is not valid Unicode"),
        ({"tool_calls": [{"type": "custom", "custom": {}}]}, "calls a 'custom'; only functions"),
        ({"tool_calls": [CALL], "function_call": CALL}, "has both 'tool_calls' and"),
        ({"tool_calls": [CALL], "content": [{}]}, r"content must be text, not a list"),
        ({"tool_calls": [CALL], "role": "user"}, "is the user's; only the assistant calls tools"),
        ({"tool_calls": "[" * 100_000}, "is nested too deep"),
        ({"content": "a", "reasoning_content": "hm"}, "has 'reasoning_content'"),
    ],
)
def test_wrong_calls_are_named(turn: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read_messages([{"role": "assistant", **turn}], "messages")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("weather(城)", r"conversations\[0\]\.value is not JSON: .* at character 1.*A call is"),
        ("[]", "lists no call"),
        ('"weather"', "must be an object"),
    ],
)
def test_wrong_calls_of_sharegpt_are_named(value: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        sharegpt(value)

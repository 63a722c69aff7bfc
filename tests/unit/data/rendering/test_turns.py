"""Messages as chat templates know them."""

from __future__ import annotations

from lorafw.data.rendering.turns import template_turn
from lorafw.types import Message, ToolCall


def test_a_turn_has_only_what_its_message_has() -> None:
    assert template_turn(Message("user", "hi", train=True)) == {"role": "user", "content": "hi"}


def test_a_call_is_written_as_transformers_has_it() -> None:
    calls = (ToolCall("weather", '{"city": "城"}'), ToolCall("time", "{}", "c2"))
    assert template_turn(Message("assistant", "", tool_calls=calls)) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"type": "function", "function": {"name": "weather", "arguments": {"city": "城"}}},
            {"id": "c2", "type": "function", "function": {"name": "time", "arguments": {}}},
        ],
    }


def test_an_answer_of_a_tool_says_whose_it_is() -> None:
    turn = template_turn(Message("tool", "20", name="weather", tool_call_id="c1"))
    assert turn == {"role": "tool", "content": "20", "name": "weather", "tool_call_id": "c1"}

"""Messages as chat templates know them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from lorafw.types import Message, ToolCall


def template_turn(message: Message) -> dict[str, Any]:
    """A message as transformers hands it to a template.

    A call is {type: function, function: {name, arguments}} with arguments as an object, and its id
    where it has one. What a message does not have, its turn has not either, for templates ask
    whether `tool_calls` is there.
    """
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.name:
        turn["name"] = message.name
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


@lru_cache(maxsize=256)
def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.loads(call.arguments)}
    whole = {"type": "function", "function": function}
    return {"id": call.id, **whole} if call.id else whole

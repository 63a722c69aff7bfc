"""The turns of a conversation as published data sets write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lorafw.data.rows.text import checked_text, listed
from lorafw.data.rows.tool_calls import read_calls, spoken_calls
from lorafw.errors import DataError, did_you_mean
from lorafw.types import Message, ToolCall

SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}
"""ShareGPT's names of who speaks, as the roles chat templates know."""
CALLER = "function_call"
"""ShareGPT's speaker whose text is a call of a tool, or a list of calls, in JSON."""
RENAMED = {"function": "tool"}
"""What OpenAI called a role before, and calls it now."""
TALKERS = ("system", "user", "assistant")
"""Roles whose `name` is not that of a tool."""
UNREAD = ("reasoning_content",)
"""Parts of a turn that every chat template writes in its own way, so no text can stand in."""


def read_messages(value: Any, where: str) -> tuple[Message, ...]:
    """The turns in a list of {role, content} or {from, value} objects.

    `train` (true or false) or OpenAI's `weight` (0 or 1) beside them says whether a turn is
    trained, whatever the encoder would choose. Calls of tools are OpenAI's `tool_calls`, whose
    content may be null, or what ShareGPT's `function_call` says.

    Args:
        value: what the row holds.
        where: the field it was found in, named in errors.

    Raises:
        DataError: it is not such a list, or it is empty.
    """
    if not isinstance(value, list) or not value:
        raise DataError(f"field '{where}' must be a list of messages, with at least one in it.")
    return tuple(_read_message(turn, f"{where}[{at}]") for at, turn in enumerate(value))


def read_reply(value: Any, where: str) -> tuple[Message, ...]:
    """An answer written as text, as one message or as a list of messages.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, str):
        return (Message("assistant", checked_text(value, f"field '{where}'")),)
    return (
        (_read_message(value, where),) if isinstance(value, dict) else read_messages(value, where)
    )


def without_common_start(
    replies: Sequence[tuple[Message, ...]],
) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """The turns that all replies begin with, and what each says behind them."""
    shared = 0
    for turns in zip(*replies, strict=False):
        if any(turn != turns[0] for turn in turns):
            break
        shared += 1
    return replies[0][:shared], [reply[shared:] for reply in replies]


def read_tools(value: Any, where: str) -> str:
    """A list of functions, given as such or as JSON text, as JSON text; empty if there are none.

    Raises:
        DataError: it is not a list of objects.
    """
    if value is None or value == "":
        return ""
    try:
        tools = json.loads(checked_text(value, where)) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise DataError(f"{where} is not JSON.") from None
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise DataError(f"{where} must hold objects, each a function's description.")
    return json.dumps(tools, ensure_ascii=False) if tools else ""


def _read_message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"{where} must be an object such as {{role, content}}.")
    for name in UNREAD:
        if turn.get(name):
            mend = "Write it into 'content' as the model's chat template does."
            raise DataError(f"{where} has '{name}', which would be left out.", mend=mend)
    calls = read_calls(turn, where)
    if "role" in turn and ("content" in turn or calls):
        role = checked_text(turn["role"], f"{where}.role")
        role = RENAMED.get(role, role)
        return _message(role, _text(turn, "content", calls, where), calls, turn, where)
    if "from" in turn and ("value" in turn or calls):
        role = _role(checked_text(turn["from"], f"{where}.from"), where)
        text = _text(turn, "value", calls, where)
        if turn["from"] == CALLER and not calls:
            calls = spoken_calls(text, f"{where}.value")
            text = "" if calls else text
        return _message(role, text, calls, turn, where)
    found = listed(turn)
    raise DataError(f"{where} needs 'role' and 'content', or 'from' and 'value'; it has {found}.")


def _message(
    role: str, text: str, calls: tuple[ToolCall, ...], turn: Mapping[str, Any], where: str
) -> Message:
    if calls and role != "assistant":
        raise DataError(f"{where} is the {role}'s; only the assistant calls tools.")
    if role in TALKERS:
        return Message(role, text, _train(turn, where), calls)
    name, answered = (_optional(turn, part, where) for part in ("name", "tool_call_id"))
    return Message(role, text, _train(turn, where), name=name, tool_call_id=answered)


def _text(turn: Mapping[str, Any], name: str, calls: tuple[ToolCall, ...], where: str) -> str:
    return _optional(turn, name, where) if calls else checked_text(turn[name], f"{where}.{name}")


def _optional(turn: Mapping[str, Any], name: str, where: str) -> str:
    value = turn.get(name)
    return "" if value is None else checked_text(value, f"{where}.{name}")


def _role(speaker: str, where: str) -> str:
    if speaker not in SPEAKERS:
        mend = did_you_mean(speaker, SPEAKERS) or f"Known: {', '.join(SPEAKERS)}."
        raise DataError(f"{where}.from: nobody is called '{speaker}'.", mend=mend)
    return SPEAKERS[speaker]


def _train(turn: Mapping[str, Any], where: str) -> bool | None:
    for name in ("train", "weight"):
        value = turn.get(name)
        if value is not None:
            if value not in (0, 1):
                raise DataError(f"{where}.{name} must be 0 or 1, false or true.")
            return bool(value)
    return None

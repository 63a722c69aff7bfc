"""The turns of a conversation as published data sets write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorafw.data.text import checked_text
from lorafw.errors import DataError, did_you_mean
from lorafw.types import Message

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


def read_messages(value: Any, where: str) -> tuple[Message, ...]:
    """The turns in a list of {role, content} or {from, value} objects.

    `train` (true or false) or OpenAI's `weight` (0 or 1) beside them says whether a turn is
    trained, whatever the encoder would choose.

    Args:
        value: what the row holds.
        where: the field it was found in, named in errors.

    Raises:
        DataError: it is not such a list, or it is empty.
    """
    if not isinstance(value, list) or not value:
        raise DataError(f"field '{where}' must be a list of messages, with at least one in it.")
    return tuple(_read_message(turn, f"{where}[{at}]") for at, turn in enumerate(value))


def _read_message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"{where} must be an object such as {{role, content}}.")
    if turn.get("tool_calls"):
        raise DataError(f"{where} has 'tool_calls', which cannot be trained on yet.")
    if "role" in turn and "content" in turn:
        role = checked_text(turn["role"], f"{where}.role")
        return Message(role, checked_text(turn["content"], f"{where}.content"), _train(turn, where))
    if "from" in turn and "value" in turn:
        role = _role(checked_text(turn["from"], f"{where}.from"), where)
        return Message(role, checked_text(turn["value"], f"{where}.value"), _train(turn, where))
    names = ", ".join(f"'{name}'" for name in turn) or "none"
    raise DataError(f"{where} needs 'role' and 'content', or 'from' and 'value'; it has {names}.")


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

"""Calls of tools in the turns of a conversation, as published data sets write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lorafw.data.rows.text import checked_text, kind_of, listed
from lorafw.errors import DataError
from lorafw.types import ToolCall

_HERMES = "<tool_call>"
"""What Hermes and Qwen write in front of a call: the text is the template's already."""


def read_calls(turn: Mapping[str, Any], where: str) -> tuple[ToolCall, ...]:
    """The calls beside a turn's text: OpenAI's `tool_calls`, or `function_call` of older rows.

    Raises:
        DataError: they are not written as OpenAI writes them, or stand there twice.
    """
    calls, older = turn.get("tool_calls"), turn.get("function_call")
    if calls and older:
        raise DataError(f"{where} has both 'tool_calls' and 'function_call'.", mend="Keep one.")
    name = "tool_calls" if calls else "function_call"
    return _calls(calls or older, f"{where}.{name}") if calls or older else ()


def spoken_calls(text: str, where: str) -> tuple[ToolCall, ...]:
    """The calls that are the text of a turn, as ShareGPT's `function_call` has them.

    Returns:
        One or more; none where the text is written in a template's own way.

    Raises:
        DataError: it is not JSON of a call, or of a list of calls.
    """
    return () if text.lstrip().startswith(_HERMES) else _calls(text, where)


def _calls(value: Any, where: str) -> tuple[ToolCall, ...]:
    found = _from_json(value, where) if isinstance(value, str) else value
    if not isinstance(found, list):
        return (_call(found, where),)
    if not found:
        raise DataError(f"{where} lists no call.")
    return tuple(_call(call, f"{where}[{at}]") for at, call in enumerate(found))


def _call(value: Any, where: str) -> ToolCall:
    """A call as such or, as OpenAI has it, within {id, type, function}."""
    if not isinstance(value, dict):
        raise DataError(f"{where} must be an object such as {{name, arguments}}.")
    if value.get("type") not in (None, "function"):
        raise DataError(f"{where} calls a '{value['type']}'; only functions are known.")
    function = value["function"] if isinstance(value.get("function"), dict) else value
    for part in ("name", "arguments"):
        if part not in function:
            raise DataError(f"{where} needs '{part}'; it has {listed(function)}.")
    name = checked_text(function["name"], f"{where}.name")
    if not name:
        raise DataError(f"{where}.name is empty.")
    named = value.get("id")
    return ToolCall(
        name,
        _arguments(function["arguments"], f"{where}.arguments"),
        "" if named is None else checked_text(named, f"{where}.id"),
    )


def _arguments(value: Any, where: str) -> str:
    """An object, as such or as JSON text, as JSON text; an empty one for none."""
    found = _from_json(value, where) if isinstance(value, str) and value else value or {}
    if not isinstance(found, dict):
        raise DataError(f"{where} must be an object, not {kind_of(found)}.")
    try:
        written = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} holds what JSON cannot: {error}.") from None
    return checked_text(written, where)


def _from_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where} is not JSON: {error.msg} at character {error.pos + 1}.",
            mend='A call is {"name": "…", "arguments": {…}}.',
        ) from None
    except RecursionError:
        raise DataError(f"{where} is nested too deep.") from None

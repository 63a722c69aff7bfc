"""Values that must be text."""

from __future__ import annotations

from typing import Any

from lorafw.errors import DataError


def checked_text(value: Any, where: str) -> str:
    """The value, if it is text that UTF-8 can hold.

    Raises:
        DataError: it is not a string, or half of a surrogate pair is in it.
    """
    if not isinstance(value, str):
        raise DataError(f"{where} must be text, not {_kind(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where} is not valid Unicode at character {error.start}.") from None
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

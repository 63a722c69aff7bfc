"""Values that must be text, alone and in the fields of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorafw.errors import DataError, did_you_mean

_MANY, _LONG = 20, 60


def checked_text(value: Any, where: str) -> str:
    """The value, if it is text that UTF-8 can hold.

    Raises:
        DataError: it is not a string, or half of a surrogate pair is in it.
    """
    if not isinstance(value, str):
        raise DataError(f"{where} must be text, not {kind_of(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where} is not valid Unicode at character {error.start}.") from None
    return value


def kind_of(value: Any) -> str:
    """What a value is, in the words of JSON."""
    names = {
        dict: "an object",
        list: "a list",
        bool: "true or false",
        type(None): "null",
        str: "text",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def field(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field; raises DataError when the row has no such field."""
    if name not in row:
        raise DataError(
            f"the row has no field '{name}'; its fields are {listed(row)}.",
            mend=did_you_mean(name, row),
        )
    return row[name]


def text_field(row: Mapping[str, Any], name: str) -> str:
    """The text in a field; raises DataError when it is missing or not text."""
    value = field(row, name)
    # Most texts are ASCII, which needs no further look; a large file has millions of them.
    if type(value) is str and value.isascii():
        return value
    return checked_text(value, f"field '{name}'")


def optional_text_field(row: Mapping[str, Any], name: str | None) -> str:
    """The text in a field; empty when the field is absent or null."""
    if name is None or row.get(name) is None:
        return ""
    return text_field(row, name)


def listed(names: Iterable[str]) -> str:
    """Names in quotes, for a message: the first of them, each cut short, where they are many."""
    quoted = [f"'{name if len(name) <= _LONG else name[:_LONG] + '…'}'" for name in names]
    more = [f"{len(quoted) - _MANY:,} more"] if len(quoted) > _MANY else []
    return ", ".join(quoted[:_MANY] + more) or "none"

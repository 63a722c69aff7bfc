"""JSON objects, one per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorafw.data.rows.sources.scanned import Record, Scanned
from lorafw.errors import DataError

BOM = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which some editors write first."""
_DECODER = json.JSONDecoder()


def scan_lines(path: Path) -> Iterator[Scanned]:
    """The objects of a file, one per line; blank lines are skipped."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            # Without its line end: a parser that runs out of text would blame the next line.
            raw = (line.removeprefix(BOM) if number == 1 else line).rstrip()
            if raw:
                yield _scanned(raw, f"{path}:{number}")


def as_object(value: Any, where: str) -> Scanned:
    """The value as a row, or the fault that it is not an object."""
    if isinstance(value, dict):
        return Record(where, value)
    return DataError(
        f"holds {json.dumps(value)[:40]}, not an object.",
        where=where,
        mend='A row is an object such as {"prompt": …, "response": …}.',
    )


def not_json(fault: str, where: str) -> DataError:
    """The error of a file that is not JSON."""
    return DataError(
        fault,
        where=where,
        mend="A .jsonl file has one JSON object per line; a .json file may hold a list of them.",
    )


def _scanned(raw: bytes, where: str) -> Scanned:
    try:
        return as_object(_DECODER.decode(raw.decode()), where)
    except UnicodeDecodeError as error:
        fault = not_utf8(error)
    except json.JSONDecodeError as error:
        fault = f"is not valid JSON: {error.msg} at column {error.colno}."
    except (ValueError, RecursionError) as error:
        fault = f"is not JSON that can be read: {error}."
    return not_json(fault, where)


def not_utf8(error: UnicodeDecodeError) -> str:
    """The fault in words."""
    return f"is not valid UTF-8 (byte {error.object[error.start]:#04x})."

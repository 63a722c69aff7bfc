"""JSON objects in a file, each with the line it begins on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lorafw.errors import DataError

_BOM = b"\xef\xbb\xbf"
_GAP = re.compile(r"[ \t\r\n,]*")

Record = tuple[int, dict[str, Any]]
"""Line number, counted from one, and object."""


def read_records(path: Path) -> Iterator[Record]:
    """The objects of a `.jsonl` file (one per line) or of a `.json` file that holds a list.

    UTF-8, with or without a byte order mark; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, or something in it is not valid UTF-8, not JSON or
            not an object; the message names file and line.
    """
    try:
        yield from _list_items(path) if _holds_list(path) else _lines(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}.", where=str(path)) from None


def _holds_list(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        texts = (line.removeprefix(_BOM).strip() for line in file)
        return next(filter(None, texts), b"").startswith(b"[")


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            # Without its line end: a parser that runs out of text would blame the next line.
            raw = (line.removeprefix(_BOM) if number == 1 else line).rstrip()
            if raw:
                yield number, _object(_parsed(raw, path, number), path, number)


def _list_items(path: Path) -> Iterator[Record]:
    raw = path.read_bytes().removeprefix(_BOM)
    _parsed(raw, path, 1)
    text, decoder = raw.decode(), json.JSONDecoder()
    counted, line = 0, 1
    at = _after_gap(text, text.index("[") + 1)
    while text[at] != "]":
        line, counted = line + text.count("\n", counted, at), at
        value, end = decoder.raw_decode(text, at)
        yield line, _object(value, path, line)
        at = _after_gap(text, end)


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    assert gap is not None
    return gap.end()


def _parsed(raw: bytes, path: Path, first_line: int) -> Any:
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError as error:
        line = first_line + raw.count(b"\n", 0, error.start)
        fault = f"is not valid UTF-8 (byte {error.object[error.start]:#04x})."
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        fault = f"is not valid JSON: {error.msg} at column {error.colno}."
    except (ValueError, RecursionError) as error:
        line, fault = first_line, f"is not JSON that can be read: {error}."
    raise DataError(
        fault,
        where=f"{path}:{line}",
        mend="A .jsonl file has one JSON object per line; a .json file may hold a list of them.",
    )


def _object(value: Any, path: Path, line: int) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DataError(
        f"holds {json.dumps(value)[:40]}, not an object.",
        where=f"{path}:{line}",
        mend='A row is an object such as {"prompt": …, "response": …}.',
    )

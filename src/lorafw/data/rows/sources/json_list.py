"""JSON objects in one list, read piece by piece."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lorafw.data.rows.sources.json_lines import BOM, as_object, not_json, not_utf8
from lorafw.data.rows.sources.scanned import Scanned

_CHUNK = 1 << 18
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def holds_list(path: Path) -> bool:
    """Whether the first thing in a file is the beginning of a list."""
    with path.open("rb") as file:
        start = file.read(_CHUNK).removeprefix(BOM).lstrip()
        return start.startswith(b"[")


def scan_list(path: Path) -> Iterator[Scanned]:
    """The objects in a file's list; a fault of the syntax is the last thing found."""
    with path.open("rb") as file:
        text = _Window(file)
        try:
            for line, value in _items(text):
                yield as_object(value, f"{path}:{line}")
        except UnicodeDecodeError as error:
            line, _ = text.place(len(text.text))
            yield not_json(not_utf8(error), f"{path}:{line}")
        except json.JSONDecodeError as error:
            line, column = text.place(error.pos)
            fault = f"is not valid JSON: {error.msg} at column {column}."
            yield not_json(fault, f"{path}:{line}")
        except (ValueError, RecursionError) as error:
            line, _ = text.place(text.at)
            yield not_json(f"is not JSON that can be read: {error}.", f"{path}:{line}")


def _items(text: _Window) -> Iterator[tuple[int, Any]]:
    """The items with the lines they begin on; raises what the parser raises."""
    text.take("[", "'[' expected")
    if text.peek() != "]":
        yield text.value()
        while text.peek() == ",":
            text.take(",", "',' expected")
            yield text.value()
    text.take("]", "',' or ']' expected")
    text.take("", "more behind the list")


class _Window:
    """The part of a file that is being parsed, and where in the file it begins."""

    def __init__(self, file: BinaryIO) -> None:
        if file.read(len(BOM)) != BOM:
            file.seek(0)
        self.text, self.at = "", 0
        # What is known of the text up to a position: its line, and where that line begins.
        self._counted, self._line, self._start = 0, 1, 0
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._fault: UnicodeDecodeError | None = None

    def peek(self) -> str:
        """The next character that is not blank; empty at the end of the file."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            assert blank is not None
            self.at = blank.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def take(self, mark: str, otherwise: str) -> None:
        """Step over a mark, or raise; nothing stands for the end of the file."""
        if self.peek() != mark:
            raise json.JSONDecodeError(otherwise, self.text, self.at)
        self.at += len(mark)

    def value(self) -> tuple[int, Any]:
        """The next value and the line it begins on."""
        self.peek()
        self._forget()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            if end == len(self.text) and self._more():
                continue  # a number may go on
            self.at = end
            return self._line, value

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of a position in the text, counted from one."""
        start = self.text.rfind("\n", self._counted, at) + 1 or self._start
        return self._line + self.text.count("\n", self._counted, at), at - start + 1

    def _forget(self) -> None:
        """Count the lines up to here, and drop the text before once it is long."""
        self._line, column = self.place(self.at)
        self._counted, self._start = self.at, self.at - column + 1
        if self.at > _CHUNK:
            self.text = self.text[self.at :]
            self.at, self._counted, self._start = 0, 0, 1 - column

    def _more(self) -> bool:
        """Read on, twice as far when a long value needs it; False at the end of the file."""
        if self._fault:
            raise self._fault
        raw = self._file.read(max(_CHUNK, len(self.text) - self.at))
        try:
            self.text += self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            # What stands before the fault is read first.
            self.text += error.object[: error.start].decode()
            self._fault = error
        return bool(raw) or self._fault is not None

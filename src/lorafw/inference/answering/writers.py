"""What becomes of answers: rows of JSON Lines, or the file that TRACE's evaluation reads."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, BinaryIO

from lorafw.adapters.files.safe_files import replace_text
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorafw.inference.answering.job import Answered

OWN_NAME = "given_"
"""Put before the name of a row's field that an answer's field would replace."""


class AnswerWriter(ABC):
    """Takes answers in the order of their rows."""

    @abstractmethod
    def write(self, answered: Answered) -> None:
        """Take one row.

        Raises:
            ExportError: it cannot be written.
        """

    @abstractmethod
    def finish(self) -> None:
        """All rows were taken."""


class JsonLines(AnswerWriter):
    """A JSON object per row, written at once: its own fields and those that were found.

    Args:
        stream: without a buffer of its own, or flushed by nobody else.
        where: what it is called in errors.
    """

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream, self._where = stream, where

    def write(self, answered: Answered) -> None:
        """Write a line and flush it."""
        row = {} if answered.question is None else answered.question.row
        left = memoryview(_line({**_kept(row, answered.found), **answered.found}))
        try:
            while left:
                left = left[self._stream.write(left) :]
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            mend = "The rows before are whole: make room and continue with --resume."
            fault = f"cannot be written: {error.strerror}."
            raise ExportError(fault, where=self._where, mend=mend) from error

    def finish(self) -> None:
        """All is written."""


class TraceResults(AnswerWriter):
    """TRACE's `results-ROUND-NUMBER-TASK.json`: three lists, of prompts, results and labels.

    Args:
        path: of the file, which appears when all rows are there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lists: dict[str, list[str]] = {"prompts": [], "results": [], "labels": []}

    def write(self, answered: Answered) -> None:
        """Remember a row; one that could not be asked has an empty result."""
        question = answered.question
        found = answered.found.get("answer", answered.found.get("label", ""))
        self._lists["prompts"].append("" if question is None else question.text)
        self._lists["results"].append(str(found))
        self._lists["labels"].append("" if question is None else question.expected)

    def finish(self) -> None:
        """Write the file in one move."""
        try:
            replace_text(self._path, json.dumps(self._lists, ensure_ascii=False) + "\n")
        except OSError as error:
            fault = f"cannot be written: {error.strerror}."
            raise ExportError(fault, where=str(self._path)) from error


def _kept(row: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The row's own fields, those that would be replaced under another name."""
    kept: dict[str, Any] = {}
    for name, value in row.items():
        own = name
        while own in found or (own != name and own in row):
            own = OWN_NAME + own
        kept[own] = value
    return kept


def _line(row: Mapping[str, Any]) -> bytes:
    """UTF-8; a row that holds half of a surrogate pair is written in ASCII, which can tell it."""
    try:
        return (json.dumps(row, ensure_ascii=False, default=str) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(row, default=str) + "\n").encode()

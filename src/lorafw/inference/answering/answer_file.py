"""A file of answers that may be left unfinished, and the note that tells what it was begun with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from lorafw.adapters.files.safe_files import replace_text
from lorafw.errors import ExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MISSING = "nothing"


class AnswerFile:
    """Rows of JSON Lines at a path, with `PATH.note.json` beside them.

    Args:
        path: of the rows.
        resume: go on behind the last whole row of what is there.

    Raises:
        UsageError: rows are there and shall not be continued, or nothing can be written there.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path, self.note = path, path.with_name(f"{path.name}.note.json")
        self._resume = resume
        if path.exists() and not (path.is_file() and resume):
            mend = "Continue it with --resume, or name another with --output."
            raise UsageError("exists already and is left as it is.", where=str(path), mend=mend)
        if not path.parent.is_dir():
            raise UsageError("there is no such folder.", where=str(path.parent))

    @property
    def continues(self) -> bool:
        """Whether there are rows to go on behind."""
        return self._resume and self.path.exists()

    def check(self, facts: Mapping[str, Any]) -> None:
        """Check that the rows there were begun with the same facts, as far as these go.

        Raises:
            UsageError: there is no note, or it tells of something else.
        """
        if not self.continues:
            return
        told = self._told()
        for key, now in _flat(facts):
            then = dict(_flat(told)).get(key, _MISSING)
            if then != now:
                mend = "Say the same as then, or name another file with --output."
                fault = f"was begun with other answers in mind: {key} was {then}, it is {now} now."
                raise UsageError(fault, where=str(self.path), mend=mend)

    def open(self, facts: Mapping[str, Any]) -> tuple[int, BinaryIO]:
        """How many rows are whole, and the stream, without a buffer, for those that follow.

        Raises:
            ExportError: the file or its note cannot be written.
            UsageError: the rows there were begun with something else.
        """
        self.check(facts)
        try:
            if not self.continues:
                replace_text(self.note, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
                return 0, self.path.open("wb", buffering=0)
            stream = self.path.open("r+b", buffering=0)
            rows, end = _whole_rows(self.path)
            stream.truncate(end)
            stream.seek(end)
        except OSError as error:
            fault = f"cannot be written: {error.strerror}."
            raise ExportError(fault, where=str(self.path)) from error
        return rows, stream

    def _told(self) -> Mapping[str, Any]:
        try:
            told = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            told = None
        if not isinstance(told, dict):
            fault = f"cannot be continued: {self.note.name}, which tells what began it, is gone."
            mend = "Name another file with --output."
            raise UsageError(fault, where=str(self.path), mend=mend)
        return told


def _whole_rows(path: Path) -> tuple[int, int]:
    """How many lines have an end, and where the last of them does."""
    rows = end = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                rows, end = rows + 1, end + len(line)
    return rows, end


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value

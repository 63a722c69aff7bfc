"""Prompts, one on each line of a plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lorafw.data.rows.sources.json_lines import BOM, not_utf8
from lorafw.data.rows.sources.scanned import Record, Scanned
from lorafw.errors import DataError


def scan_text_lines(path: Path) -> Iterator[Scanned]:
    """The lines of a file, each a row `{prompt: …}`; blank lines are skipped."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            raw = (line.removeprefix(BOM) if number == 1 else line).rstrip(b"\r\n")
            if raw.strip():
                yield _row(raw, f"{path}:{number}")


def _row(raw: bytes, where: str) -> Scanned:
    try:
        return Record(where, {"prompt": raw.decode()})
    except UnicodeDecodeError as error:
        return DataError(not_utf8(error), where=where)

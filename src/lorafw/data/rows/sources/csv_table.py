"""Rows of comma-separated values under a line of column names."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lorafw.data.rows.sources.json_lines import BOM
from lorafw.data.rows.sources.scanned import Record, Scanned
from lorafw.errors import DataError

_MEND = "Quote values that hold commas, quotes or line ends; a quote inside is written twice."
_Row = tuple[str, list[str]]


def scan_csv(path: Path) -> Iterator[Scanned]:
    """The rows of a file (UTF-8, RFC 4180), every value as text; blank lines are skipped."""
    # The module's limit is 128 KiB per value, less than a long document.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open("rb") as file:
        rows = _rows(_lines(file), path)
        head = next(rows, None)
        if isinstance(head, DataError):
            yield head
        elif head is not None:
            yield from _under(head, rows)


def _under(head: _Row, rows: Iterator[_Row | DataError]) -> Iterator[Scanned]:
    where, names = head
    if len(set(names)) < len(names) or "" in names:
        fault = "the first line must name every column, each once."
        yield DataError(fault, where=where, mend=f"It reads: {', '.join(names)[:80]}.")
        return
    for row in rows:
        yield row if isinstance(row, DataError) else _record(names, *row)


def _record(names: Sequence[str], where: str, values: Sequence[str]) -> Scanned:
    if len(values) == len(names):
        return Record(where, dict(zip(names, values, strict=True)))
    fault = f"has {len(values)} values for {len(names)} columns."
    return DataError(fault, where=where, mend=_MEND)


def _rows(lines: Iterable[str], path: Path) -> Iterator[_Row | DataError]:
    """The values of every row with the line it begins on."""
    reader = csv.reader(lines, strict=True)
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield DataError(f"is not valid CSV: {error}.", where=where, mend=_MEND)
            continue
        if values is None:
            return
        if _is_text(values):
            yield from [(where, values)] if values else []
        else:
            yield DataError("is not valid UTF-8.", where=where)


def _lines(file: Iterable[bytes]) -> Iterator[str]:
    # Bytes that are not UTF-8 are kept apart in the text, so that only their row is at fault.
    for number, line in enumerate(file):
        yield (line if number else line.removeprefix(BOM)).decode(errors="surrogateescape")


def _is_text(values: Sequence[str]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True

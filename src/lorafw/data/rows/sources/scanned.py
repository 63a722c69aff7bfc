"""What a reader finds in a source: rows and faults, in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorafw.errors import DataError


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it stands in its source.

    Attributes:
        where: file and line, or file and number of the row, counted from one.
        row: the values by the names of their fields.
    """

    where: str
    row: Mapping[str, Any]


Scanned = Record | DataError
"""A row, or the fault in its place; a reader goes on behind a fault where it can."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        name: what the source is called in errors.
        scan: begins at the first row whenever it is called.
    """

    name: str
    scan: Callable[[], Iterator[Scanned]]


def never_empty(found: Iterable[Scanned], name: str) -> Iterator[Scanned]:
    """What was found; where that is nothing, the fault that says so."""
    rest = iter(found)
    yield next(rest, DataError("holds no rows.", where=name))
    yield from rest

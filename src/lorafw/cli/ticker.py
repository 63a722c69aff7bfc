"""A count on stderr for what takes longer than one likes to wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

PATIENCE, PAUSE = 1.0, 0.2
"""Seconds before the first count, and between two."""


def ticking(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """The items; on a terminal, while they take long, a line that counts them."""
    shows = sys.stderr.isatty()
    told, due = False, time.monotonic() + PATIENCE
    for done, item in enumerate(items):
        if shows and time.monotonic() > due:
            _tell(f"\r{doing} row {done:,} of {total:,} …")
            told, due = True, time.monotonic() + PAUSE
        yield item
    if told:
        _tell("\r\033[K")


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()

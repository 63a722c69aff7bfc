"""Signals that ask the launcher to stop, noted instead of acted upon."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Heard:
    """What was heard so far.

    Attributes:
        first: the first signal; the job ends with its exit code.
        again: a later one came, which means it.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.again = False

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.again = self.first is not None
        self.first = self.first or signal.Signals(number)

    @property
    def for_ranks(self) -> signal.Signals:
        """What is passed on: ranks know how to stop at two of them."""
        return signal.SIGINT if self.first == signal.SIGINT else signal.SIGTERM


@contextmanager
def signals_noted() -> Iterator[Heard]:
    """While open, signals are noted; only the main thread may catch them."""
    heard = Heard()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = {number: signal.signal(number, heard.note) for number in _ASKING}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

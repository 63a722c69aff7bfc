"""A wish to stop, raised by a signal and read between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_heard: list[int] = []
"""Signals that this process was asked to stop with."""


def heard_signal() -> int:
    """The signal that last asked this process to stop; SIGTERM if it was another rank that heard.

    Its number is part of the exit code.
    """
    return _heard[-1] if _heard else signal.SIGTERM


class StopFlag:
    """Set by SIGTERM or SIGINT; the loop carries it to all ranks in the step's all-reduce."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def raised(self) -> bool:
        """Whether someone asked to stop."""
        return self.signal is not None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.raised:  # the second one means it: KeyboardInterrupt, or the end of the process
            interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if interrupt else signal.SIG_DFL)
            signal.raise_signal(number)
        self.signal = number
        _heard.append(number)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While open, the two signals set the flag; only the main thread may catch signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        previous = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, previous, strict=True):
                signal.signal(number, handler)

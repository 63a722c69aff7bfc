"""The one yardstick: clocks and memory, read at the end of every optimizer step."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.job import Outcome
from benchmarks.rows import ROWS_PER_STEP, Row


class StepClock:
    """Remembers when steps ended; what lies between two ends belongs to the later step."""

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._cpu: list[float] = []
        self._peak = 0

    def mark(self) -> None:
        """A step is done."""
        self._wall.append(time.perf_counter())
        self._cpu.append(time.process_time())
        self._peak = peak_memory()

    def outcome(self, rows: Sequence[Row], losses: Sequence[float]) -> Outcome:
        """The figures of all steps but the first, which trained the first rows."""
        timed = rows[ROWS_PER_STEP:]
        steps = len(rows) // ROWS_PER_STEP
        if not len(self._wall) == len(losses) == steps:
            raise SystemExit(f"{len(self._wall)} steps, {len(losses)} losses: {steps} were asked")
        return Outcome(
            tokens=sum(len(row.ids) for row in timed),
            seconds=self._wall[-1] - self._wall[0],
            cpu_seconds=self._cpu[-1] - self._cpu[0],
            peak_bytes=self._peak,
            losses=list(losses),
        )


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes.

    Linux also counts into `ru_maxrss` what the parent held when it started the process, so
    its own high-water mark is read instead.
    """
    mark = _status("VmHWM")
    if mark is not None:
        return mark
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> int:
    """Resident size of this process, in bytes; where only Linux could tell, the largest so far."""
    now = _status("VmRSS")
    return peak_memory() if now is None else now


def _status(field: str) -> int | None:
    """A size from Linux's account of this process, in bytes; None elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))

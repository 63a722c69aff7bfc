"""The one yardstick: clocks and memory, read at the end of every optimizer step."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.job import Outcome
from benchmarks.rows import ROWS_PER_STEP, Row


class StepClock:
    """Remembers when steps ended; what lies between two ends belongs to the later step.

    Args:
        others: processes that take the same steps beside this one, and are counted with it;
            Linux only.
    """

    def __init__(self, others: Sequence[int] = ()) -> None:
        self._others = others
        self._wall: list[float] = []
        self._cpu: list[float] = []
        self._peak = 0

    def mark(self) -> None:
        """A step is done."""
        self._wall.append(time.perf_counter())
        self._cpu.append(time.process_time() + sum(map(_cpu_seconds, self._others)))
        self._peak = peak_memory() + sum(_status("VmHWM", each) or 0 for each in self._others)

    def outcome(self, rows: Sequence[Row], losses: Sequence[float], *, warmup: int) -> Outcome:
        """The figures of all steps but the first ones; no losses for what does not train."""
        steps = len(rows) // ROWS_PER_STEP
        if len(self._wall) != steps or (losses and len(losses) != steps):
            raise SystemExit(f"{len(self._wall)} steps, {len(losses)} losses: {steps} were asked")
        return Outcome(
            tokens=sum(len(row.ids) for row in rows[warmup * ROWS_PER_STEP :]),
            seconds=self._wall[-1] - self._wall[warmup - 1],
            cpu_seconds=self._cpu[-1] - self._cpu[warmup - 1],
            peak_bytes=self._peak,
            losses=list(losses),
        )

    def write(self, path: Path) -> None:
        """Save as JSON, for another process to make the outcome of."""
        marks = {"wall": self._wall, "cpu": self._cpu, "peak": self._peak}
        path.write_text(json.dumps(marks), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> StepClock:
        """Load what `write` saved."""
        marks, clock = json.loads(path.read_text(encoding="utf-8")), cls()
        clock._wall, clock._cpu, clock._peak = marks["wall"], marks["cpu"], marks["peak"]
        return clock


def siblings() -> list[int]:
    """The other processes that this one's parent has started, by number; Linux only."""
    parent = os.getppid()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split() if int(child) != os.getpid()]


def _cpu_seconds(process: int) -> float:
    """User and system time of another process, to a hundredth of a second."""
    told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


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


def own_memory() -> int:
    """Resident size without pages of files, which the system takes back as it likes; Linux only."""
    return _status("RssAnon") or 0


def _status(field: str, process: int | None = None) -> int | None:
    """A size from Linux's account of a process, this one if none is named; None elsewhere."""
    status = Path(f"/proc/{process or 'self'}/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))

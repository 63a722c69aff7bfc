"""What this machine bears: how many ranks, and how much memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

_RANKS = (1, 2, 4)


def usual_ranks() -> tuple[int, ...]:
    """One, two, and four where there are processors for them; GPUs are counted later."""
    processors = os.cpu_count() or 1
    return tuple(ranks for ranks in _RANKS if ranks <= max(2, processors))


def too_much(ranks: int, *, gpus: int, peak: int) -> str:
    """Why the machine cannot bear so many ranks; empty if it can.

    Args:
        ranks: how many.
        gpus: how many GPUs there are; 0 to train on the CPU.
        peak: bytes that a single rank had.
    """
    if gpus:
        return f"{ranks} ranks need {ranks} GPUs, there are {gpus}." if ranks > gpus else ""
    free = free_memory()
    if ranks > 1 and free is not None and ranks * peak > free:
        need = f"{ranks * peak / 2**30:.1f} GiB"
        return f"{ranks} ranks need about {need} of memory, {free / 2**30:.1f} GiB are free."
    return ""


def free_memory() -> int | None:
    """Bytes that processes can still have; None where the system does not tell."""
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", table.read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else None

"""The memory of this process and this machine, as the system tells it."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes.

    Linux's own figure comes first: `ru_maxrss` there starts at the size of whoever started us.
    """
    told = _told("/proc/self/status", "VmHWM")
    if told is not None:
        return told
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> int:
    """Resident size of this process, in bytes; where only Linux could tell, the largest so far."""
    now = _told("/proc/self/status", "VmRSS")
    return peak_memory() if now is None else now


def available_memory() -> int | None:
    """Bytes that new processes can take on this machine; None where only Linux could tell."""
    return _told("/proc/meminfo", "MemAvailable")


def _told(path: str, field: str) -> int | None:
    place = Path(path)
    if not place.exists():
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", place.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None

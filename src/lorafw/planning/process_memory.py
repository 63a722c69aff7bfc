"""The memory of this process and this machine, as the system tells it."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lorafw.training import cgroup

if TYPE_CHECKING:
    import torch


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
    """Bytes that can still be had here, in a container too; None where only Linux could tell."""
    told = (_told("/proc/meminfo", "MemAvailable"), cgroup.free_memory())
    return min((free for free in told if free is not None), default=None)


def available_to_rank(device: torch.device, local_ranks: int) -> int | None:
    """Bytes that each of so many ranks on this machine can take, where its weights will be."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    free = available_memory()
    return None if free is None else free // local_ranks


def _told(path: str, field: str) -> int | None:
    place = Path(path)
    if not place.exists():
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", place.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None

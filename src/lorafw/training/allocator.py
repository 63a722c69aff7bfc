"""How the libraries underneath keep memory that tensors have left."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Literal, TypeAlias

_NUMBERS = {"TRIM_THRESHOLD": -1, "TOP_PAD": -2, "MMAP_THRESHOLD": -3}  # M_… of <malloc.h>
_SETTINGS: Mapping[str, Mapping[str, int]] = {
    "lean": {"MMAP_THRESHOLD": 256 << 10},
    "fast": {"MMAP_THRESHOLD": 1 << 30, "TRIM_THRESHOLD": 2**31 - 1, "TOP_PAD": 64 << 20},
    "system": {},
}
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, of torch's ideep
KERNELS: Mapping[str, int] = {"lean": 32, "fast": 128, "system": 1024}
"""Compiled kernels that are kept; of `system`, by the libraries' own choice."""

Allocator: TypeAlias = Literal["lean", "fast", "system"]


def set_allocator(way: Allocator) -> None:
    """Choose what happens to memory that a tensor has left, for the rest of this process.

    lean: a block of 256 KiB or more is mapped alone, and goes back to the system at once. Left to
    itself, glibc raises that size to as much as 32 MiB and keeps what is smaller in its heap. There
    the holes that one micro-batch leaves seldom fit the next, and a process grows by half of what
    it needs. fast: all but the largest blocks stay in the heap, and the heap is not given back; the
    kernel then need not map and zero them anew each time. system: glibc as it is.

    But for `system`, fewer compiled kernels are kept. In bf16 on a CPU a kernel is compiled for
    every shape of a product, within a millisecond, and both oneDNN and ideep, torch's way to it,
    keep 1024 of them: hundreds of megabytes after some steps over rows of many lengths. A
    micro-batch has some hundred shapes, most of them of attention over rows of all lengths.

    What the user's environment says of all this stays.
    """
    if way != "system":
        for cache in _CACHES:
            os.environ.setdefault(cache, str(KERNELS[way]))
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    for name, value in _SETTINGS[way].items():
        if mallopt is not None and f"MALLOC_{name}_" not in os.environ:
            mallopt(_NUMBERS[name], value)

"""How the libraries underneath keep memory that tensors have left."""

from __future__ import annotations

import ctypes
import os
import sys

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of <malloc.h>
_LARGE = 256 * 1024
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, of torch's ideep
KERNELS = 32
"""Compiled kernels that are kept."""


def keep_little() -> None:
    """Let large tensors' memory go back to the system at once, and few compiled kernels be kept.

    glibc raises the size from which a block is mapped alone to as much as 32 MiB, and keeps what is
    smaller in its heap. There the holes that one micro-batch leaves seldom fit the next, and a
    process grows by half of what it needs. In bf16 on a CPU a kernel is compiled for every shape of
    a product, within a millisecond, and both oneDNN and ideep, torch's way to it, keep 1024 of
    them: hundreds of megabytes after some steps over rows of many lengths. Less of either costs a
    hundredth of a step's time or less. What the user's environment says of them stays.
    """
    for cache in _CACHES:
        os.environ.setdefault(cache, str(KERNELS))
    if sys.platform == "linux" and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE)

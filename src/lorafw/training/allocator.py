"""How the libraries underneath keep memory that tensors have left."""

from __future__ import annotations

import ctypes
import os
import sys

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of <malloc.h>
_LARGE = 256 * 1024
KERNELS = 64
"""Compiled kernels that are kept."""


def keep_little() -> None:
    """Let large tensors' memory go back to the system at once, and few compiled kernels be kept.

    glibc raises the size from which a block is mapped alone to as much as 32 MiB, and keeps what is
    smaller in its heap. There the holes that one micro-batch leaves seldom fit the next, and a
    process grows by half of what it needs. oneDNN keeps up to 1024 compiled kernels of more than a
    megabyte each, and in bf16 on a CPU compiles one for every number of rows; those of one layer
    are about thirty. Both cost a hundredth of a step's time or less. Another library or the user's
    environment may have settled the latter before.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))
    if sys.platform == "linux" and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE)

"""A lock that one process at a time holds, and that dies with it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 2.0
"""Seconds of waiting that nobody needs to hear of."""
_PAUSE = 0.05


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file, made if need be, and taken away afterwards.

    The operating system frees it when its holder ends, however that comes.

    Args:
        path: of the lock file; its folder exists.
        waiting: called once if another process has it for more than `PATIENCE`.

    Raises:
        OSError: the file cannot be made, or its file system knows no locks.
    """
    began, told = time.monotonic(), False
    while (descriptor := _taken(path)) is None:
        if not told and time.monotonic() - began > PATIENCE:
            told = True
            waiting()
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        _release(path, descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """As `locked`, but if another process has the lock, false instead of waiting."""
    descriptor = _taken(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _release(path, descriptor)


def _taken(path: Path) -> int | None:
    """The lock file's descriptor, locked; None while another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    if _is_at(path, descriptor):
        return descriptor
    os.close(descriptor)  # its last holder has taken the file away meanwhile
    return None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(path: Path, descriptor: int) -> None:
    path.unlink(missing_ok=True)
    os.close(descriptor)

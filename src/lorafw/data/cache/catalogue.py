"""All rows that are kept: what they are, and taking them away."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorafw.data.cache.entry import UNFINISHED, About, Entry
from lorafw.data.cache.faults import DamagedError
from lorafw.data.cache.lock import locked_if_free

DAY = 86400.0
_OURS = re.compile(f"[0-9a-f]{{64}}({re.escape(UNFINISHED)})?")


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows in the cache.

    Attributes:
        about: what is known of them; None where that cannot be read, or they are unfinished.
        bytes: what they take on disk.
        used: when they were last used, in seconds since the epoch.
    """

    entry: Entry
    about: About | None
    bytes: int
    used: float


def kept(folder: Path) -> list[Kept]:
    """What lies in the cache, the last used first."""
    found = [_looked_at(path) for path in _entries(folder)]
    return sorted(found, key=lambda each: each.used, reverse=True)


def clear(folder: Path, *, older_than: float = 0) -> list[Kept]:
    """Take rows away; those that a process is encoding just now stay.

    Args:
        folder: the cache.
        older_than: spare what was used in so many last days.

    Returns:
        What was taken away.

    Raises:
        OSError: something cannot be taken away.
    """
    before = time.time() - older_than * DAY
    return [each for each in kept(folder) if each.used <= before and _removed(each.entry)]


def _entries(folder: Path) -> Iterator[Path]:
    """What bears a key for a name; anything else in the folder is not ours."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _OURS.fullmatch(path.name))


def _looked_at(path: Path) -> Kept:
    entry = Entry(path)
    try:
        about = entry.read()
    except (DamagedError, OSError):
        about = None
    files = [each.stat() for each in (path, *path.rglob("*"))]
    size = sum(each.st_size for each in files[1:]) if path.is_dir() else files[0].st_size
    return Kept(entry, about, size, max(each.st_mtime for each in files))


def _removed(entry: Entry) -> bool:
    finished = Entry(entry.path.with_name(entry.path.name.removesuffix(UNFINISHED)))
    with locked_if_free(finished.lock) as free:
        if free:
            entry.remove()
        return free

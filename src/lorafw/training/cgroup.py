"""What a container or a service manager leaves this process: limits of its control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_memory(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes that are left to this process by its groups; None where none of them sets a limit.

    Pages of files that nobody uses count as free, for the kernel gives them back first.
    """
    rooms = [_room(group) for group in _groups(root, own, "memory")]
    return min((room for room in rooms if room is not None), default=None)


def processors(root: Path = ROOT, own: Path = OWN) -> float | None:
    """How many processors' time the groups grant; None where none of them sets a limit."""
    shares = [_share(group) for group in _groups(root, own, "cpu")]
    return min((share for share in shares if share is not None), default=None)


def _groups(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """Folders of the process's group and of all that it lies in, of either version of cgroups."""
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        top = root / controller if names else root
        place = top / path.lstrip("/")
        yield from (group for group in (place, *place.parents) if group.is_relative_to(top))


def _room(group: Path) -> int | None:
    """By memory.max and memory.current, in the first version under other names."""
    for limit, used, idle in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, taken = _number(group / limit), _number(group / used)
        if most is not None and taken is not None:
            return max(0, most - taken + _entry(group / "memory.stat", idle))
    return None


def _share(group: Path) -> float | None:
    """Of cpu.max, `QUOTA PERIOD`; in the first version two files, and -1 for no limit."""
    words = _words(group / "cpu.max")
    if not words:
        quota = _words(group / "cpu.cfs_quota_us")
        words = [*quota, *_words(group / "cpu.cfs_period_us")]
    if len(words) != 2 or not words[0].isdigit():
        return None
    return int(words[0]) / int(words[1])


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else None


def _entry(path: Path, name: str) -> int:
    words = _words(path)
    return int(words[words.index(name) + 1]) if name in words else 0


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.exists() else []

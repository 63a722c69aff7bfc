"""SLURM's way to write many host names as one."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PART = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")
_RANGE = re.compile(r"\[([^\]]*)\]")


def hosts(text: str) -> list[str]:
    """Every host of a node list, in order.

    >>> hosts("n[01-03,07],gpu5")
    ['n01', 'n02', 'n03', 'n07', 'gpu5']

    Raises:
        ValueError: the text is no node list.
    """
    parts = _PART.findall(text)
    if ",".join(parts) != text or not parts:
        raise ValueError(f"'{text}' is not a node list")
    return [host for part in parts for host in _spelled_out(part)]


def _spelled_out(part: str) -> Iterator[str]:
    """Hosts of one element; several brackets are every combination."""
    found = _RANGE.search(part)
    if found is None:
        yield part
        return
    for number in _numbers(found[1]):
        for rest in _spelled_out(part[found.end() :]):
            yield part[: found.start()] + number + rest


def _numbers(ranges: str) -> Iterator[str]:
    """Numbers of `01-03,07`, as wide as they are written."""
    for span in ranges.split(","):
        first, dash, last = span.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"'{span}' is not a range of numbers")
        for number in range(int(first), int(last or first) + 1):
            yield str(number).zfill(len(first))


def tasks_per_node(text: str) -> list[int]:
    """Tasks of each node.

    >>> tasks_per_node("2(x3),1")
    [2, 2, 2, 1]
    """
    counts: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if found is None:
            raise ValueError(f"'{text}' does not count tasks")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts

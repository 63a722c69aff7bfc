"""Names and numbers as a guard lists them in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 5


def listed(items: Sequence[object]) -> str:
    """The first few, and how many more there are.

    >>> listed([1, 2])
    '1, 2'
    >>> listed(range(7))
    '0, 1, 2, 3, 4 and 2 more'
    """
    shown = ", ".join(str(item) for item in items[:_MOST])
    return f"{shown} and {len(items) - _MOST} more" if len(items) > _MOST else shown

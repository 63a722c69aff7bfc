"""Text from data that is safe to show on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text that cannot move the cursor: what is not printable is written as an escape."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )

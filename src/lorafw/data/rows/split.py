"""Held-out rows chosen by their content, so that a row never changes sides."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from lorafw.types import Example

_HASH_BITS = 64


def content_hash(example: Example) -> int:
    """A number below 2**64 that depends on nothing but the example's kind and content.

    A field that holds its default is left out, so that fields added later move no row; in a
    message, one that is empty by default.
    """
    said = {
        name: value
        for name, default in _defaults(type(example))  # type: ignore[arg-type] # a class has a hash
        if (value := getattr(example, name)) != default
    }
    digest = hashlib.sha256(_CANONICAL([type(example).__name__, said]).encode()).digest()
    return int.from_bytes(digest[: _HASH_BITS // 8], "big")


def _within(value: Any) -> dict[str, Any]:
    """The fields of a message or of what is in it; raises TypeError where it has none."""
    held = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    # `train` is None by default and was always written.
    return {
        field.name: found
        for field, found in held
        if field.default is None or found != field.default
    }


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_within).encode


@cache
def _defaults(kind: type[Example]) -> list[tuple[str, Any]]:
    return [(field.name, field.default) for field in dataclasses.fields(kind)]


def split_by_content(
    examples: Sequence[Example], fraction: float, limit: int
) -> tuple[list[Example], list[Example]]:
    """Rows to train and rows held out, each in the order they came.

    A row is held out when its hash is among the lowest `fraction` of all possible hashes, so
    rows added later move no other row across. Copies of a row share a side. Two things can
    bring a row back to training: `limit`, which keeps the lowest hashes, and the need to leave
    something to train, which gives up the highest.

    Args:
        examples: all rows.
        fraction: expected share of held-out rows, 0 to 1.
        limit: most held-out rows.
    """
    if not fraction or not limit:
        return list(examples), []
    hashes = [content_hash(example) for example in examples]
    held_out = _held_out(hashes, fraction, limit)
    sides: tuple[list[Example], list[Example]] = ([], [])
    for example, value in zip(examples, hashes, strict=True):
        sides[value in held_out].append(example)
    return sides


def lowest(examples: Sequence[Example], limit: int) -> list[Example]:
    """The `limit` rows with the lowest hashes, in the order they came."""
    ranked = sorted(range(len(examples)), key=lambda at: (content_hash(examples[at]), at))
    return [examples[at] for at in sorted(ranked[:limit])]


def _held_out(hashes: Sequence[int], fraction: float, limit: int) -> frozenset[int]:
    copies = Counter(hashes)
    below = sorted(value for value in copies if value < fraction * 2**_HASH_BITS)
    if len(below) == len(copies):
        below = below[:-1]
    room, chosen = limit, set()
    for value in below:
        room -= copies[value]
        if room < 0:
            break
        chosen.add(value)
    return frozenset(chosen)

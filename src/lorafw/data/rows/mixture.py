"""Rows of several data sets in given shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lorafw.data.rows.split import content_hash
from lorafw.types import Example


def shares(weights: Sequence[float], size: int) -> list[int]:
    """Whole numbers in the proportion of the weights that add up to `size`.

    Largest remainders: each is its exact share rounded down, and what is then missing goes one
    by one to the largest remainders, the first of equals.
    """
    exact = [size * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: (counts[at] - exact[at], at))
    for at in by_remainder[: size - sum(counts)]:
        counts[at] += 1
    return counts


def taken(rows: Sequence[Example], count: int, seed: int) -> list[Example]:
    """That many of the rows, each as often as any other or once more.

    Which rows are taken once more is told by their content and the seed alone, whatever their
    order; every round is in the order of the rows.
    """
    rounds, rest = divmod(count, len(rows))
    ranked = sorted(range(len(rows)), key=lambda at: (_rank(rows[at], seed), at)) if rest else []
    return [*rows] * rounds + [rows[at] for at in sorted(ranked[:rest])]


def _rank(row: Example, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {content_hash(row)}".encode()).digest()

"""The merges of a BPE vocabulary, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T", str, bytes)


def merges_of(ranks: Mapping[T, float]) -> list[tuple[T, T]]:
    """Every pair of pieces whose join is a piece, the join of the lowest rank first.

    sentencepiece and tiktoken rank the join, the tokenizers library the pair. So where two pairs
    that overlap have the same join, theirs take the left one, and here an order must be chosen that
    does the same: s·t = t·u needs the split behind s before the one behind t, and s is a period of
    the join. Joins of equal rank are taken in the order given; what sentencepiece and tiktoken
    train has none.
    """
    ordered = []
    for piece, rank in ranks.items():
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in ranks and right in ranks:
                periodic = piece.startswith(right)
                ordered.append((rank, not periodic, at, left, right))
    ordered.sort(key=lambda merge: merge[:3])
    return [(left, right) for *_, left, right in ordered]

"""The nearest update of low rank to a dense one."""

from __future__ import annotations

import torch
from torch import Tensor

from lorafw.adapters.algebra.low_rank import Decomposition, LowRank
from lorafw.adapters.algebra.subspace import largest_singular

EXACT_UP_TO = 1024
"""Smaller side of an update beyond which its decomposition is approximated."""
OVERSAMPLING, ROUNDS = 16, 4
"""Directions beyond the rank, and power iterations, of the approximation."""


def nearest_of_rank(update: Tensor, rank: int, generator: torch.Generator) -> tuple[LowRank, float]:
    """An update of low rank that is as near as can be, and its relative Frobenius error.

    Beyond `EXACT_UP_TO` it is found by randomised subspace iteration, within a fraction of a per
    cent of the nearest; the error is measured either way.

    Args:
        update: [out, in], fp32.
        rank: at least 1.
        generator: of the start of the approximation.
    """
    exact = min(update.shape) <= EXACT_UP_TO
    found = _exact(update) if exact else _approximate(update, rank + OVERSAMPLING, generator)
    cut, whole = found.cut(rank), float(update.norm())
    return cut, float((update - cut.dense()).norm()) / whole if whole else 0.0


def _exact(update: Tensor) -> Decomposition:
    return Decomposition(*torch.linalg.svd(update, full_matrices=False))


def _approximate(update: Tensor, directions: int, generator: torch.Generator) -> Decomposition:
    return Decomposition(*largest_singular(update, directions, generator, rounds=ROUNDS))

"""TIES and DARE: sums of updates that are thinned out first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


def trimmed(update: Tensor, density: float) -> Tensor:
    """The update with all but its largest numbers set to zero (TIES, arXiv:2306.01708, section 4).

    Args:
        update: any shape.
        density: share of the numbers that is kept, above 0 and at most 1; among equally large
            ones at the border none is kept.
    """
    drop = update.numel() - max(1, round(density * update.numel()))
    if drop == 0:
        return update
    sizes = update.abs()
    return update.where(sizes > sizes.flatten().kthvalue(drop).values, 0.0)


def dropped(update: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """The update with numbers set to zero at random and the others made larger for it (DARE).

    Each stays with probability `density` and is divided by it, so that the expectation is the
    update (arXiv:2311.03099, section 3.2, with p = 1 - density).
    """
    kept = torch.rand(update.shape, generator=generator) < density
    return update.where(kept, 0.0) / density


def total(updates: Sequence[Tensor]) -> Tensor:
    """The sum of updates of one shape."""
    found = torch.zeros_like(updates[0])
    for update in updates:
        found += update
    return found


def agreeing_mean(updates: Sequence[Tensor]) -> Tensor:
    """Of each number the mean over the updates that agree in sign with the sum (TIES, section 4).

    An update that is zero in a place has no part in the mean there.
    """
    elected = total(updates).sign()
    found, count = torch.zeros_like(elected), torch.zeros_like(elected)
    for update in updates:
        agrees = update * elected > 0
        found.addcmul_(update, agrees)
        count += agrees
    return found.div_(count.clamp_(min=1))

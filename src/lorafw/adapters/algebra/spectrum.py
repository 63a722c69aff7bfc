"""What the singular values of an update say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Singular values of one module's update.

    Attributes:
        values: the largest first; none below zero.
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Tensor) -> Spectrum:
        """The spectrum of singular values in a tensor, [k]."""
        return cls(tuple(values.tolist()))

    @property
    def norm(self) -> float:
        """The update's Frobenius norm."""
        return math.hypot(*self.values)

    @property
    def effective_rank(self) -> float:
        """Exp of the entropy of the values' distribution (Roy and Vetterli 2007); 0 for no update.

        Between 1, one direction, and the rank, all directions alike strong.
        """
        total = sum(self.values)
        shares = [value / total for value in self.values if value > 0] if total else []
        return math.exp(-sum(p * math.log(p) for p in shares if p)) if shares else 0.0

    @property
    def stable_rank(self) -> float:
        """The squared Frobenius norm over the largest squared value; 0 for no update."""
        return (self.norm / self.values[0]) ** 2 if self.norm else 0.0

    def rank_for(self, energy: float) -> int:
        """The least rank, from 1, that keeps this share of the squared Frobenius norm."""
        kept = list(accumulate(value**2 for value in self.values))
        return 1 + sum(so_far < energy * kept[-1] for so_far in kept[:-1])

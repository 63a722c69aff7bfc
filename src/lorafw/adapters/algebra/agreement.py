"""How near one update is to another, from a few sums that add up over modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.adapters.algebra.low_rank import weighted_sum

if TYPE_CHECKING:
    from lorafw.adapters.algebra.low_rank import LowRank


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near an update Y is to an update X; None where that is not defined, as for X = 0.

    Attributes:
        cosine: of the angle between them, in the Frobenius inner product.
        norm_ratio: |Y| / |X|.
        difference: |X - Y| / |X|.
    """

    cosine: float | None
    norm_ratio: float | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class Products:
    """Squared norms of X, Y and X - Y, and the inner product of X and Y."""

    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    distance: float = 0.0

    def __add__(self, other: Products) -> Products:
        """Of two modules taken as one."""
        return Products(
            self.xx + other.xx,
            self.yy + other.yy,
            self.xy + other.xy,
            self.distance + other.distance,
        )

    @property
    def agreement(self) -> Agreement:
        """The same as ratios."""
        sizes = (self.xx * self.yy) ** 0.5
        return Agreement(
            cosine=max(-1.0, min(1.0, self.xy / sizes)) if sizes else None,
            norm_ratio=(self.yy / self.xx) ** 0.5 if self.xx else None,
            difference=(self.distance / self.xx) ** 0.5 if self.xx else None,
        )


def products(x: LowRank, y: LowRank) -> Products:
    """Of two updates of one shape, by their thin factors."""
    distance = weighted_sum((x, y), (1, -1)).norm() ** 2
    return Products(x.norm() ** 2, y.norm() ** 2, x.inner(y), distance)


def without_second(x: LowRank) -> Products:
    """Of an update X, and of Y = 0."""
    square = x.norm() ** 2
    return Products(xx=square, distance=square)


def without_first(y: LowRank) -> Products:
    """Of X = 0, and of an update Y."""
    square = y.norm() ** 2
    return Products(yy=square, distance=square)

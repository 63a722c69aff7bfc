"""How far loss curves lie apart: two ways of the same training, and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

Curve = Sequence[float]
"""The loss of every step."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean absolute differences between curves.

    Attributes:
        between_ways: of the two ways from the same start, over all starts.
        between_starts: of the ordinary way from any two starts.
        fast_from_exact, ordinary_from_exact: of each way and the exact curve from the same start.
    """

    between_ways: float
    between_starts: float
    fast_from_exact: float
    ordinary_from_exact: float

    @property
    def within_noise(self) -> bool:
        """Whether the way matters less than where one starts."""
        return self.between_ways <= self.between_starts


def compare(
    fast: Mapping[int, Curve], ordinary: Mapping[int, Curve], exact: Mapping[int, Curve]
) -> Comparison:
    """Curves by seed; the same seeds in all of them, at least two.

    Args:
        fast: one way.
        ordinary: the other.
        exact: the ordinary way in fp32.
    """
    return Comparison(
        between_ways=_apart(fast, ordinary),
        between_starts=mean(distance(*pair) for pair in combinations(ordinary.values(), 2)),
        fast_from_exact=_apart(fast, exact),
        ordinary_from_exact=_apart(ordinary, exact),
    )


def _apart(some: Mapping[int, Curve], others: Mapping[int, Curve]) -> float:
    return mean(distance(some[seed], others[seed]) for seed in others)


def distance(one: Curve, other: Curve) -> float:
    """Mean absolute difference; curves of different lengths are an error."""
    return mean(abs(a - b) for a, b in zip(one, other, strict=True))

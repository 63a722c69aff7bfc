"""Bootstrap: how far figures of a set of rows may be off, from resamples of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Sums: TypeAlias = "Mapping[str, float]"
Summary: TypeAlias = "Callable[[Sums], Mapping[str, float]]"
"""Figures from sums over rows."""

LEVEL = 0.95
"""Share of the resamples that an interval holds."""
RESAMPLES = 1000
_AT_ONCE = 4_000_000
"""Most counts of rows in memory."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the interval it may lie in; without one where no resamples were drawn."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0: a difference is none of chance."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class Resamples:
    """Draws rows with replacement, the same for everything that is asked of one object.

    That is what makes a comparison paired: both models are looked at on the same rows.

    Args:
        rows: how many there are.
        count: how many resamples to draw; 0 for none.
        seed: of the draws.
    """

    def __init__(self, rows: int, *, count: int = RESAMPLES, seed: int = 0) -> None:
        self._rows, self._count, self._seed = rows, count, seed

    def figures(
        self, measured: Sequence[Sums], summarise: Summary
    ) -> dict[str, NDArray[np.float64]]:
        """Each figure of every resample, float64 [resamples], in the order they were drawn."""
        names = list(measured[0])
        table = np.array([[sums[name] for name in names] for sums in measured], np.float64)
        found = [
            summarise(dict(zip(names, totals, strict=True)))
            for counts in self._counts()
            for totals in (counts @ table).tolist()
        ]
        figures = found[0] if found else {}
        return {name: np.array([each[name] for each in found]) for name in figures}

    def _counts(self) -> Iterator[NDArray[np.float64]]:
        """How often each row was drawn, [resamples, rows], a portion of the resamples at a time."""
        chance = np.random.default_rng(self._seed)
        portion = max(1, _AT_ONCE // self._rows)
        for start in range(0, self._count, portion):
            size = (min(portion, self._count - start), self._rows)
            drawn = chance.integers(self._rows, size=size)
            yield np.stack([np.bincount(one, minlength=self._rows) for one in drawn]).astype(float)


def total(measured: Sequence[Sums]) -> dict[str, float]:
    """The sums over all rows."""
    return {name: float(sum(sums[name] for sums in measured)) for name in measured[0]}


def estimate(value: float, resampled: NDArray[np.float64] | None) -> Estimate:
    """A figure with its percentile interval (Efron 1981)."""
    if resampled is None or not len(resampled):
        return Estimate(value)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))

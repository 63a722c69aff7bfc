"""Figures of several runs: their mean and its interval, and whether two groups of runs differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
"""How often an interval made like this holds the true mean."""
PERMUTED = "exact paired permutation test"
STUDENT = "paired t-test"
MOST_PERMUTED = 16
"""Most pairs whose signs are all tried, 2^16 of them; more are left to Student's t."""


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over runs.

    Attributes:
        value: the mean.
        half: half the width of its interval, from Student's t with n - 1 degrees of freedom; None
            for one run.
        values: of the single runs, in their order.
    """

    value: float
    half: float | None
    values: tuple[float, ...]

    @property
    def low(self) -> float | None:
        """Where the interval begins."""
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        """Where the interval ends."""
        return None if self.half is None else self.value + self.half


@dataclass(frozen=True, slots=True)
class Test:
    """How surely the mean of paired differences is not 0.

    Attributes:
        name: which test.
        p: how often chance alone would differ as much, to either side.
    """

    name: str
    p: float


def mean(values: Sequence[float]) -> Mean:
    """The mean and its interval.

    Args:
        values: one or more, finite.
    """
    numbers = tuple(float(value) for value in values)
    centre, count = math.fsum(numbers) / len(numbers), len(numbers)
    if count == 1:
        return Mean(centre, None, numbers)
    error = float(np.std(numbers, ddof=1)) / math.sqrt(count)
    return Mean(centre, float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error, numbers)


def paired_test(differences: Sequence[float]) -> Test | None:
    """Whether paired differences are none of chance; None for a single pair.

    Up to `MOST_PERMUTED` pairs, exact: the share of all 2^n choices of signs under which the mean
    is as far from 0 as it is (Fisher 1935). It assumes nothing of how differences are spread, but
    n pairs cannot show less than p = 2^(1-n). More pairs are given to Student's t.
    """
    if len(differences) < 2:
        return None
    if len(differences) <= MOST_PERMUTED:
        return Test(PERMUTED, _permuted(differences))
    if not np.ptp(differences):
        return Test(STUDENT, 0.0 if differences[0] else 1.0)  # t is infinite, or 0 by 0
    return Test(STUDENT, float(stats.ttest_1samp(differences, 0.0).pvalue))


def _permuted(differences: Sequence[float]) -> float:
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(differences))))
    sums = np.abs(signs @ np.asarray(differences, np.float64))
    slack = 1e-12 * float(np.abs(differences).sum())  # the same sum in another order
    return float(np.mean(sums >= sums[0] - slack))

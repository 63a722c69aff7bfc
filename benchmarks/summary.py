"""Medians over rounds, and whether the contestants learned the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.job import Outcome

TOLERANCE = 1e-3
"""Relative; what bf16 allows is about 1e-4, other labels or another start would cost more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One contestant's figures.

    Attributes:
        tokens_per_second: real tokens, median over rounds.
        cpu_seconds_per_kilotoken: time of all threads for 1000 real tokens, median.
        peak_bytes: median.
        first_loss, last_loss: mean loss per trained token of the first and the last step.
    """

    tokens_per_second: float
    cpu_seconds_per_kilotoken: float
    peak_bytes: float
    first_loss: float
    last_loss: float


def summarise(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of one contestant from its runs, one per round."""
    return Figures(
        tokens_per_second=median(each.tokens / each.seconds for each in outcomes),
        cpu_seconds_per_kilotoken=median(
            1000 * each.cpu_seconds / each.tokens for each in outcomes
        ),
        peak_bytes=median(each.peak_bytes for each in outcomes),
        first_loss=median(each.losses[0] for each in outcomes),
        last_loss=median(each.losses[-1] for each in outcomes),
    )


def disagreement(losses: Mapping[str, float]) -> float:
    """Largest relative distance of any loss from the median of all."""
    middle = median(losses.values())
    return max(abs(loss / middle - 1) for loss in losses.values())


def verdict(what: str, losses: Mapping[str, float]) -> tuple[bool, str]:
    """Whether losses agree within `TOLERANCE`, and a line that says so."""
    distance = disagreement(losses)
    agree = distance <= TOLERANCE
    told = f"{what} agree" if agree else f"{what} DIFFER"
    return agree, f"{told}: at most {distance:.1e} from their median (allowed {TOLERANCE:.0e})."

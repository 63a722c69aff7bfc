"""Medians over rounds, and whether the contestants learned the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.job import Outcome

TOLERANCE = 1e-3
"""Relative; what bf16 allows is about 1e-4, other labels or another start would cost more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One contestant's figures, medians over rounds.

    Attributes:
        tokens_per_second: real tokens.
        seconds, cpu_seconds: wall time of the timed steps, and that of all threads.
        cpu_seconds_per_kilotoken: time of all threads for 1000 real tokens.
        peak_bytes: largest resident size.
        first_loss, last_loss: mean loss per trained token of the first and the last step; None
            for what does not train.
        of_floor: tokens/s as a share of those of the bare matrix products; None without those.
    """

    tokens_per_second: float
    seconds: float
    cpu_seconds: float
    cpu_seconds_per_kilotoken: float
    peak_bytes: float
    first_loss: float | None
    last_loss: float | None
    of_floor: float | None = None


def summarise(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of one contestant from its runs, one per round."""
    losses = [each.losses for each in outcomes if each.losses]
    return Figures(
        tokens_per_second=median(each.tokens / each.seconds for each in outcomes),
        seconds=median(each.seconds for each in outcomes),
        cpu_seconds=median(each.cpu_seconds for each in outcomes),
        cpu_seconds_per_kilotoken=median(
            1000 * each.cpu_seconds / each.tokens for each in outcomes
        ),
        peak_bytes=median(each.peak_bytes for each in outcomes),
        first_loss=median(each[0] for each in losses) if losses else None,
        last_loss=median(each[-1] for each in losses) if losses else None,
    )


def above(floor: Figures | None, figures: Mapping[str, Figures]) -> dict[str, Figures]:
    """Everybody's figures, with their speed as a share of the floor's."""
    if floor is None:
        return dict(figures)
    most = floor.tokens_per_second
    return {
        name: replace(row, of_floor=row.tokens_per_second / most) for name, row in figures.items()
    }


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

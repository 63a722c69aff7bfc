"""What lorafw must reach: how much faster than others, how near to the bare matrix products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.summary import Figures

TIMES_AS_FAST = {"trl": 8.0, "hf-trainer": 5.0}
"""Tokens/s over those of another trainer as it comes, on the usual shape."""
BESIDE = {"trl-tuned": "TRL, tuned", "hf-trainer-flat": "HF Trainer, tuned"}
"""Contestants at settings found for this comparison alone: told, not judged."""
OF_THEIR_PEAK = 0.3
"""Largest resident size over that of the same contestant."""
OF_FLOOR = {"smollm2-135m": 0.25, "llama-1b-wide": 0.70}
"""Tokens/s over those of the GEMM floor, by shape."""
COMPARED = "smollm2-135m"
NAMES = {"trl": "TRL", "hf-trainer": "HF Trainer"}


@dataclass(frozen=True, slots=True)
class Demand:
    """One figure and its limit.

    Attributes:
        holds: whether the figure is within the limit.
        told: both, as a sentence.
    """

    holds: bool
    told: str


def demands(shape: str, ours: Figures, figures: Mapping[str, Figures]) -> list[Demand]:
    """Every demand that can be judged by who took part.

    Args:
        shape: that was measured.
        ours: lorafw's figures, with `of_floor` where the floor was timed.
        figures: of every contestant, by name.
    """
    found = list(_near_floor(shape, ours))
    for rival in TIMES_AS_FAST if shape == COMPARED else ():
        if rival in figures:
            found += _against(rival, ours, figures[rival])
    return found


def beside(ours: Figures, figures: Mapping[str, Figures]) -> list[str]:
    """How lorafw compares with those that are not judged by, a sentence for each."""
    return [
        f"beside  {_compared(name, ours, figures[at])}"
        for at, name in BESIDE.items()
        if at in figures
    ]


def _compared(name: str, ours: Figures, theirs: Figures) -> str:
    speed = ours.tokens_per_second / theirs.tokens_per_second
    memory = ours.peak_bytes / theirs.peak_bytes
    return f"{speed:.1f}x the tokens/s and {memory:.2f}x the peak memory of {name}"


def _near_floor(shape: str, ours: Figures) -> Iterator[Demand]:
    wanted = OF_FLOOR.get(shape)
    if wanted is not None and ours.of_floor is not None:
        told = f"{ours.of_floor:.0%} of the GEMM floor (at least {wanted:.0%})"
        yield _demand(ours.of_floor >= wanted, told)


def _against(rival: str, ours: Figures, best: Figures) -> Iterator[Demand]:
    speed, memory = (
        ours.tokens_per_second / best.tokens_per_second,
        ours.peak_bytes / best.peak_bytes,
    )
    name, wanted = NAMES[rival], TIMES_AS_FAST[rival]
    yield _demand(speed >= wanted, f"{speed:.1f}x the tokens/s of {name} (at least {wanted:g}x)")
    told = f"{memory:.2f}x the peak memory of {name} (at most {OF_THEIR_PEAK:g}x)"
    yield _demand(memory <= OF_THEIR_PEAK, told)


def _demand(holds: bool, told: str) -> Demand:
    return Demand(holds, f"{'holds ' if holds else 'MISSED'}  {told}")

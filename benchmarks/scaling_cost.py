"""What a token costs in a run, and how that grows from the smallest run to the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.metered_run import Metered

ALLOWED = 1.1
"""Times as much for the most rows as for the fewest."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians over runs.

    Attributes:
        microseconds, cpu_microseconds: wall and CPU time of a real token.
        own_bytes: largest resident size of a run, pages of files not counted.
    """

    microseconds: float
    cpu_microseconds: float
    own_bytes: float


def cost_of(runs: Sequence[Metered], *, warmup: int) -> Cost:
    """The cost of a token in steps after the first ones; a step's time is its median's.

    Args:
        runs: of the same config.
        warmup: steps that are not counted, at least 1, as nothing tells when the first began.
    """
    return Cost(
        microseconds=1e6 * median(_per_token(run.seconds, run, warmup) for run in runs),
        cpu_microseconds=1e6 * median(_per_token(run.cpu_seconds, run, warmup) for run in runs),
        own_bytes=median(run.own_bytes for run in runs),
    )


def _per_token(times: Sequence[float], run: Metered, warmup: int) -> float:
    tokens = run.tokens[warmup:]
    return median(time / count for time, count in zip(times[warmup - 1 :], tokens, strict=True))


def growth(costs: Mapping[int, Cost]) -> tuple[float, float]:
    """Time of a token, and memory, where the most is varied over where the least is."""
    least, most = costs[min(costs)], costs[max(costs)]
    return most.cpu_microseconds / least.cpu_microseconds, most.own_bytes / least.own_bytes

"""Two models on the same rows: every figure of each, and the difference, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorafw.figures.resampling import Estimate, Resamples, Summary, Sums, estimate, total


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of a model and, where there is one, of what it is compared with.

    Attributes:
        model: the figure.
        base: the same of the base; None where it was not asked.
        difference: model less base; None without a base.
    """

    model: Estimate
    base: Estimate | None = None
    difference: Estimate | None = None


def compare(
    model: Sequence[Sums],
    base: Sequence[Sums] | None,
    summarise: Summary,
    resamples: Resamples,
) -> dict[str, Compared]:
    """Every figure, by its name.

    Args:
        model: what was measured of each row.
        base: the same of the base, row by row.
        summarise: figures from sums.
        resamples: what rows are drawn; the same for both, so differences are paired.
    """
    figures = summarise(total(model))
    drawn = resamples.figures(model, summarise)
    if base is None:
        return {name: Compared(estimate(value, drawn.get(name))) for name, value in figures.items()}
    figures_base, drawn_base = summarise(total(base)), resamples.figures(base, summarise)
    return {
        name: Compared(
            estimate(value, drawn.get(name)),
            estimate(figures_base[name], drawn_base.get(name)),
            estimate(
                value - figures_base[name],
                drawn[name] - drawn_base[name] if name in drawn else None,
            ),
        )
        for name, value in figures.items()
    }

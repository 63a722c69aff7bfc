"""A matrix of figures as numbers that a page can draw: cells, their shades and their labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorafw.builtin.trackers._chart import Tick, shortened

WIDTH, LEFT, TOP, ROW = 720, 120, 30, 34
_STAGE_LETTERS = 15
_FAINTEST, _STRONGEST = 0.06, 0.5
"""How much of a cell's colour is seen; at the most, so that its number can still be read."""

Figures = Mapping[str, Mapping[str, float]]
"""One figure by stage and task; some may be missing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number, and how much of its colour is seen."""

    x: float
    y: float
    shade: float
    label: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Stages from top to bottom, tasks from left to right."""

    title: str
    height: int
    width: float
    across: tuple[Tick, ...]
    down: tuple[Tick, ...]
    cells: tuple[Cell, ...]
    words: str


def heat_map(title: str, figures: Figures, tasks: Sequence[str]) -> HeatMap:
    """The drawing of one figure.

    Args:
        title: the figure's name.
        figures: by stage, in order, and task.
        tasks: in the order of their columns.
    """
    column = (WIDTH - LEFT) / len(tasks)
    across = [Tick(_middle(column, at), shortened(t, len(tasks))) for at, t in enumerate(tasks)]
    down = [Tick(TOP + (at + 0.5) * ROW, _stage(name)) for at, name in enumerate(figures)]
    return HeatMap(
        title,
        TOP + ROW * len(figures),
        round(column - 2, 1),
        tuple(across),
        tuple(down),
        tuple(_cells(figures, tasks, column)),
        _in_words(figures, tasks),
    )


def _middle(column: float, at: int) -> float:
    return round(LEFT + (at + 0.5) * column, 1)


def _stage(name: str) -> str:
    return name if len(name) <= _STAGE_LETTERS else name[: _STAGE_LETTERS - 1] + "…"


def _cells(figures: Figures, tasks: Sequence[str], column: float) -> Iterator[Cell]:
    values = [value for row in figures.values() for value in row.values() if math.isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    for down, row in enumerate(figures.values()):
        for across, task in enumerate(tasks):
            value = row.get(task, math.nan)
            place = round(LEFT + across * column, 1), TOP + down * ROW
            shown = f"{value:.4g}" if math.isfinite(value) else "–"
            yield Cell(*place, _shade(value, low, high), shown)


def _shade(value: float, low: float, high: float) -> float:
    if not math.isfinite(value):
        return 0.0
    share = (value - low) / (high - low) if high > low else 0.0
    return round(_FAINTEST + share * (_STRONGEST - _FAINTEST), 3)


def _in_words(figures: Figures, tasks: Sequence[str]) -> str:
    """The numbers, for a reader who does not see the cells."""
    rows = (
        f"{stage}: " + ", ".join(f"{task} {row[task]:.4g}" for task in tasks if task in row)
        for stage, row in figures.items()
    )
    return "; ".join(rows) + "."

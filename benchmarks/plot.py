"""Figures as a picture: bars beside each other, or lines over what was varied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F = TypeVar("F")
COLOURS = ("#1f6f5c", "#b8b8b8")
"""Of the first bar, which is lorafw's, and of the others."""


@dataclass(frozen=True)
class Panel(Generic[F]):
    """One axis: its heading with the unit, and what takes the value out of a row."""

    heading: str
    read: Callable[[F], float]


def write_bars(path: Path, title: str, rows: Mapping[str, F], panels: Sequence[Panel[F]]) -> None:
    """A panel per figure, a bar per row with its value; SVG or PNG by the file's ending."""
    figure, axes = _figure(len(panels), height=1.2 + 0.42 * len(rows))
    labels = list(rows)
    colours = [COLOURS[0], *[COLOURS[1]] * (len(rows) - 1)]
    for axis, panel in zip(axes, panels, strict=True):
        values = [panel.read(row) for row in rows.values()]
        bars = axis.barh(labels, values, color=colours)
        axis.bar_label(bars, [_short(value) for value in values], padding=3, fontsize=8)
        axis.set_xlim(0, 1.2 * max(values))
        axis.set_title(panel.heading, fontsize=10)
        axis.invert_yaxis()
        axis.label_outer()
    _save(figure, path, title)


def write_lines(
    path: Path, title: str, rows: Mapping[int, F], panels: Sequence[Panel[F]], *, over: str
) -> None:
    """A panel per figure, from 0 up, over a number that was varied, by orders of magnitude."""
    figure, axes = _figure(len(panels), height=3.2)
    for axis, panel in zip(axes, panels, strict=True):
        values = [panel.read(row) for row in rows.values()]
        axis.plot(list(rows), values, marker="o", color=COLOURS[0])
        axis.set_xscale("log")
        axis.set_ylim(0, 1.2 * max(values))
        axis.set_xlabel(over)
        axis.set_title(panel.heading, fontsize=10)
    _save(figure, path, title)


def _figure(panels: int, *, height: float) -> tuple[Figure, Sequence[Axes]]:
    """Without pyplot, which would look for a screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * panels + 1, height), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, panels, squeeze=False)[0]
    return figure, axes


def _save(figure: Figure, path: Path, title: str) -> None:
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

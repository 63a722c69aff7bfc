"""Listener `plot`: loss, learning rate and gradient norm as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorafw.builtin.trackers._history import Curve, History
from lorafw.builtin.trackers._packages import need
from lorafw.contracts.listener import Listener

FILE = "curves.png"
PANELS: Mapping[str, Mapping[str, str]] = {
    "loss": {"train/loss": "training", "eval/loss": "held out"},
    "learning rate": {"train/learning_rate": ""},
    "gradient norm": {"train/grad_norm": ""},
}
"""What each panel shows: a figure, and what its line is called."""


class Plot(Listener):
    """Draws curves.png: loss, learning rate and gradient norm, of failed runs too."""

    def preflight(self) -> None:
        """See that matplotlib is installed.

        Raises:
            LorafwError: it is not.
        """
        need("plots", "matplotlib")

    def open(self, folder: Path) -> object:
        """A listener that draws after each evaluation and at the end."""
        return _Drawing(folder)


class _Drawing(History):
    def show(self) -> None:
        figure = draw(self.curves)
        temporary = self.folder / f".{FILE}"
        figure.savefig(temporary, dpi=150, format="png")
        temporary.replace(self.folder / FILE)


def draw(curves: Mapping[str, Mapping[str, Curve]]) -> Any:
    """A matplotlib figure with a column for each stage and a row for each panel.

    Args:
        curves: by stage and name, as in `History`.
    """
    from matplotlib.figure import Figure  # apart from pyplot, which has a state and a display

    stages = list(curves) or [""]
    figure = Figure(figsize=(8 * len(stages), 8), layout="constrained")
    rows = figure.subplots(len(PANELS), len(stages), sharex="col", squeeze=False)
    for column, stage in enumerate(stages):
        for axes, (label, lines) in zip(rows[:, column], PANELS.items(), strict=True):
            _panel(axes, label, lines, curves.get(stage, {}))
        rows[-1, column].set_xlabel("step")
        rows[0, column].set_title(stage if len(stages) > 1 else "")
    return figure


def _panel(axes: Any, label: str, lines: Mapping[str, str], curves: Mapping[str, Curve]) -> None:
    for name, called in lines.items():
        if name in curves:
            few = len(curves[name].steps) <= 50
            mark = "." if few else None
            axes.plot(curves[name].steps, curves[name].values, marker=mark, label=called)
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.3)
    axes.locator_params(axis="x", integer=True)
    if len(axes.lines) > 1:
        axes.legend()

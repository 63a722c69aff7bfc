"""The scores of a run over several tasks, as drawings: a heat map and curves for each figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lorafw.builtin.trackers._chart import Chart, chart
from lorafw.builtin.trackers._heat_map import Figures, HeatMap, heat_map
from lorafw.builtin.trackers._history import Curve

Scores: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Figures by stage, task and name."""

_USUAL = "loss"
"""Measured of every task."""
_BESIDE = {"perplexity", "targets"}
"""Told with the loss; one says the same once more, and the other never changes."""


def drawn_scores(scores: Scores, record: Mapping[str, Any]) -> list[tuple[HeatMap, Chart | None]]:
    """A heat map and a chart for each figure; no chart of a single stage.

    Args:
        scores: as they were told, stage by stage.
        record: the run's record of them, once there is one: which figures tasks are judged by,
            and the order in which they were trained.
    """
    tasks = record.get("tasks") or list(dict.fromkeys(t for row in scores.values() for t in row))
    drawn = []
    for name in _names(scores, record.get("judged_by", {})):
        figures = _figures(scores, name)
        shown = [task for task in tasks if any(task in row for row in figures.values())]
        drawn.append((heat_map(name, figures, shown), _curves(name, figures, shown)))
    return drawn


def _names(scores: Scores, judged_by: Mapping[str, str]) -> list[str]:
    """The figures that tasks are judged by, and the loss; while that is not known, all."""
    told = dict.fromkeys(n for row in scores.values() for figures in row.values() for n in figures)
    if not judged_by:
        return [name for name in told if name not in _BESIDE]
    return [name for name in dict.fromkeys((*judged_by.values(), _USUAL)) if name in told]


def _figures(scores: Scores, name: str) -> Figures:
    rows = {
        stage: {task: figures[name] for task, figures in row.items() if name in figures}
        for stage, row in scores.items()
    }
    return {stage: row for stage, row in rows.items() if row}


def _curves(name: str, figures: Figures, tasks: Sequence[str]) -> Chart | None:
    if len(figures) < 2:
        return None
    curves = {task: Curve() for task in tasks}
    for at, row in enumerate(figures.values()):
        for task, value in row.items():
            curves[task].add(at, value)
    return chart(name, curves, stages=tuple(figures))

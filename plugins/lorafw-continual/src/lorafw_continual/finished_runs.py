"""Finished runs over several tasks, read from their folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lorafw.errors import LorafwError, UsageError
from lorafw_continual.matrix import Scores

RECORD, CONFIG = "run.json", "run.yaml"
BEFORE = "before"
"""What the stage is called in which nothing has been trained yet."""
SINGLE_TASKS = "adapter-per-task"
"""The scenario that trains every task from the start."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run over several tasks left.

    Attributes:
        folder: the run's.
        scenario: its name.
        seed: of the run.
        tasks: in the order in which they were trained.
        general: tasks that were scored and none to be learned; no measure counts them.
        stages: in order, `before` apart; those of tasks also where nothing was scored.
        figures: by stage, task and name.
        judged_by: the figure each task is judged by.
        better: which of two of these is the better, by task: `lower` or `higher`.
    """

    folder: Path
    scenario: str
    seed: int
    tasks: tuple[str, ...]
    stages: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Mapping[str, float]]]
    judged_by: Mapping[str, str]
    better: Mapping[str, str]
    general: tuple[str, ...] = ()

    @property
    def has_stage_for_each_task(self) -> bool:
        """Whether tasks were trained one after another, so that there is something to forget."""
        return len(self.stages) == len(self.tasks)

    def matrix(self) -> Scores:
        """What each task is judged by, as measured: [stages, tasks]; NaN where it was not."""
        return np.array([self._row(stage) for stage in self.stages])

    def untrained(self) -> Scores | None:
        """The same before any training, [tasks]; None if that was not measured."""
        return np.array(self._row(BEFORE)) if BEFORE in self.figures else None

    def figures_of(self, task: str) -> list[str]:
        """Names of the figures that were measured of a task."""
        measured = (self.figures[at] for at in (*self.stages, BEFORE) if at in self.figures)
        return list(dict.fromkeys(name for row in measured for name in row.get(task, {})))

    @property
    def unscored(self) -> tuple[str, ...]:
        """The tasks without figures, which had no held-out rows; no measure counts them either."""
        return tuple(task for task in self.tasks if not self.figures_of(task))

    def with_tasks(self, tasks: Sequence[str]) -> FinishedRun:
        """The same run, its tasks in another order."""
        return replace(self, tasks=tuple(tasks))

    def _row(self, stage: str) -> list[float]:
        measured = self.figures.get(stage, {})
        return [measured.get(t, {}).get(self.judged_by[t], float("nan")) for t in self.tasks]

    def alone(self) -> dict[str, float]:
        """What each task came to right after its own stage, where it was trained from the start.

        Raises:
            UsageError: tasks were not trained each from the start.
        """
        if self.scenario != SINGLE_TASKS or not self.has_stage_for_each_task:
            fault = f"does not train every task alone; scenario {SINGLE_TASKS} does."
            raise UsageError(fault, where=str(self.folder))
        return dict(zip(self.tasks, np.diagonal(self.matrix()).tolist(), strict=True))

    def judged(self, figure: str | None) -> FinishedRun:
        """The same run, every task judged by one figure; by its own for None.

        Raises:
            UsageError: a task has no such figure, or it is not known which value is the better.
        """
        return self if figure is None else _judged_by(self, figure)


def read_runs(folders: Sequence[Path], figure: str | None = None) -> list[FinishedRun]:
    """Finished runs that can be set side by side.

    Args:
        folders: of the runs.
        figure: judge every task by it; by its own for None.

    Raises:
        UsageError: one is no finished run over several tasks, or they are of different tasks.
        LorafwError: a record is damaged.
    """
    runs = [_read(folder).judged(figure) for folder in folders]
    if twice := [run.folder for at, run in enumerate(runs) if run.folder in folders[:at]]:
        raise UsageError("is named twice.", where=str(twice[0]))
    for run in runs[1:]:
        _check_alike(runs[0], run)
    return runs


def _read(folder: Path) -> FinishedRun:
    if not folder.is_dir():
        raise UsageError("there is no such folder.", where=str(folder))
    if not (folder / RECORD).is_file():
        fault = f"is no finished run: it has no {RECORD}."
        mend = f"Finish it: lorafw run {folder / CONFIG} --resume"
        raise UsageError(fault, where=str(folder), mend=mend * (folder / CONFIG).is_file())
    try:
        record = read_record(folder)
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        return _from(folder, record, config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        fault = f"its record is damaged: {type(error).__name__}: {error}."
        raise LorafwError(fault, where=str(folder)) from error


def read_record(folder: Path) -> dict[str, Any]:
    """What a run's `run.json` holds."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def _from(folder: Path, record: Mapping[str, Any], config: Mapping[str, Any]) -> FinishedRun:
    scores = record.get("scores")
    if not scores:
        mend = "Scenarios such as sequential, over a list of tasks, leave scores."
        raise UsageError("is no run over several tasks.", where=str(folder), mend=mend)
    general, tasks = record.get("general"), scores["tasks"]
    found = FinishedRun(
        folder,
        config["scenario"]["use"],
        int(config["run"]["seed"]),
        tuple(task for task in tasks if task != general),
        tuple(stage for stage in scores["stages"] if stage != BEFORE),
        scores["figures"],
        scores["judged_by"],
        scores["better"],
        tuple(task for task in tasks if task == general),
    )
    return _with_every_stage(found)


def _with_every_stage(run: FinishedRun) -> FinishedRun:
    """With the stages after which nothing was scored: of tasks that have no held-out rows."""
    has_all = run.unscored and {*run.stages, *run.unscored} == {*run.tasks}
    return replace(run, stages=run.tasks) if has_all else run


def _check_alike(first: FinishedRun, other: FinishedRun) -> None:
    if set(first.tasks) != set(other.tasks):
        theirs, ours = (", ".join(sorted(run.tasks)) for run in (first, other))
        fault = f"its tasks are {ours}; those of {first.folder} are {theirs}."
        raise UsageError(fault, where=str(other.folder))
    _check_scored(first, other)
    for task in first.tasks:
        theirs, ours = first.judged_by[task], other.judged_by[task]
        if theirs != ours:
            fault = f"{task} is judged by {ours}, and in {first.folder} by {theirs}."
            mend = "Judge all by one figure: --figure loss"
            raise UsageError(fault, where=str(other.folder), mend=mend)


def _check_scored(first: FinishedRun, other: FinishedRun) -> None:
    for task in sorted({*first.unscored} ^ {*other.unscored}):
        lacks, has = (first, other) if task in first.unscored else (other, first)
        fault = f"{task} has no figures, and in {has.folder} it has."
        mend = "Measures would be of other tasks: give it the same held-out rows in all runs."
        raise UsageError(fault, where=str(lacks.folder), mend=mend)


def _judged_by(run: FinishedRun, figure: str) -> FinishedRun:
    scored = [task for task in run.tasks if task not in run.unscored]
    for task in scored:
        if figure not in (known := run.figures_of(task)):
            mend = f"It has: {', '.join(known)}."
            raise UsageError(f"{task} has no figure {figure}.", where=str(run.folder), mend=mend)
    better = _which_is_better(figure)
    tasks = [*scored, *(task for task in run.general if figure in run.figures_of(task))]
    judged = {**run.judged_by, **dict.fromkeys(tasks, figure)}
    return replace(run, judged_by=judged, better={**run.better, **dict.fromkeys(tasks, better)})


def _which_is_better(figure: str) -> str:
    """What the metric says that gives a figure; `metric.figure` names its metric too."""
    from lorafw.assembly.registry import Registry

    registry, plain = Registry(), figure.rpartition(".")[2]
    for name in registry.names("metric"):
        better: Mapping[str, str] = getattr(registry.load("metric", name), "better", {})
        if plain in better:
            return better[plain]
    raise UsageError(f"no metric gives a figure {figure}.", where="--figure")

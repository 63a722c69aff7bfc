"""Several runs as one: their mean matrix, the measures of it, and two groups of runs compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorafw.errors import UsageError
from lorafw_continual.finished_runs import BEFORE, FinishedRun
from lorafw_continual.matrix import MEASURES, Scores, as_scores, measures
from lorafw_continual.statistics import Mean, Test, mean, paired_test


@dataclass(frozen=True, slots=True)
class Summary:
    """What runs over the same tasks come to.

    Attributes:
        runs: those that were looked at.
        tasks: names of the columns; places in the order, if the runs differ in theirs. General data
            comes last.
        judged_by: the figure of each column; several where tasks of several figures share one.
        rows: of each stage, in order, the figure of every task; None where it was not measured in
            every run. `before` comes first where all runs have it.
        measures: by name, of scores: a figure of which the lower is the better counts as its
            negative.
        general: those of the tasks that are general data, and that no measure counts.
        unscored: other tasks, without figures and so without a column, that none counts either.
    """

    runs: Sequence[FinishedRun]
    tasks: Sequence[str]
    judged_by: Sequence[str]
    rows: Mapping[str, Sequence[Mean | None]]
    measures: Mapping[str, Mean]
    general: Sequence[str] = ()
    unscored: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two groups of runs, matched by their seeds.

    Attributes:
        first, second: of each group.
        difference: first less second, seed by seed.
        test: whether it is none of chance; None for one seed.
    """

    first: Mean
    second: Mean
    difference: Mean
    test: Test | None


def summarize(runs: Sequence[FinishedRun], alone: FinishedRun | None = None) -> Summary:
    """The mean matrix of runs and its measures.

    Args:
        runs: one or more, of the same tasks.
        alone: one that trained each of these tasks alone.

    Raises:
        UsageError: they have different numbers of stages, or tasks were not trained alone.
    """
    single = None if alone is None else alone.alone()
    _check_stages(runs)
    in_order, general = [_in_columns(run, runs) for run in runs], _general(runs)
    shown = [run.with_tasks([*run.tasks, *general]) for run in in_order]
    names = [*_names([run.tasks for run in in_order], "task"), *general]
    columns = _scored_columns(shown)
    figures = [dict.fromkeys(run.judged_by[run.tasks[at]] for run in shown) for at in columns]
    return Summary(
        runs,
        tuple(names[at] for at in columns),
        [", ".join(each) for each in figures],
        {stage: [row[at] for at in columns] for stage, row in _rows(shown).items()},
        _means([measures_of(run, single) for run in runs]),
        general,
        runs[0].unscored,
    )


def measures_of(run: FinishedRun, alone: Mapping[str, float] | None = None) -> dict[str, float]:
    """The measures of one run's scores.

    Args:
        run: the run.
        alone: what each task comes to when it is the only one trained.
    """
    untrained = run.untrained()
    single = None if alone is None else np.array([alone[task] for task in run.tasks])
    return measures(
        _scores(run, run.matrix()),
        untrained=None if untrained is None else _scores(run, untrained),
        alone=None if single is None else _scores(run, single),
    )


def compare(first: Sequence[FinishedRun], second: Sequence[FinishedRun]) -> dict[str, Difference]:
    """Every measure that all runs have, of two groups of runs over the same tasks.

    Args:
        first: one or more, each of a seed of its own.
        second: as many, of the same seeds.

    Raises:
        UsageError: runs share a seed, or one has no partner.
    """
    ours, theirs = _by_seed(first), _by_seed(second)
    for seed in ours.keys() ^ theirs.keys():
        run = (ours | theirs)[seed]
        fault = f"is of seed {seed}, of which the other group has no run."
        raise UsageError(fault, where=str(run.folder), mend="Runs are matched by run.seed.")
    seeds = sorted(ours)
    pairs = [(measures_of(ours[seed]), measures_of(theirs[seed])) for seed in seeds]
    names = [name for name in MEASURES if all(name in a and name in b for a, b in pairs)]
    return {name: _difference([(a[name], b[name]) for a, b in pairs]) for name in names}


def _difference(pairs: Sequence[tuple[float, float]]) -> Difference:
    differences = [a - b for a, b in pairs]
    first, second = (mean(values) for values in zip(*pairs, strict=True))
    return Difference(first, second, mean(differences), paired_test(differences))


def _by_seed(runs: Sequence[FinishedRun]) -> dict[int, FinishedRun]:
    found: dict[int, FinishedRun] = {}
    for run in runs:
        if (other := found.setdefault(run.seed, run)) is not run:
            fault = f"has seed {run.seed}, and so has {other.folder} of the same group."
            raise UsageError(fault, where=str(run.folder), mend="Runs are matched by run.seed.")
    return found


def _scores(run: FinishedRun, figures: Scores) -> Scores:
    """Figures of tasks in columns, each as a score."""
    columns = [as_scores(figures[..., at], run.better[t]) for at, t in enumerate(run.tasks)]
    return np.stack(columns, axis=-1)


def _check_stages(runs: Sequence[FinishedRun]) -> None:
    wanted = len(runs[0].stages)
    for run in runs[1:]:
        if (count := len(run.stages)) != wanted:
            fault = f"has {count} stage{'s' * (count != 1)}, and {runs[0].folder} has {wanted}."
            mend = "Summarize runs of one scenario, and compare them with those of another."
            raise UsageError(fault, where=str(run.folder), mend=mend)


def _in_columns(run: FinishedRun, runs: Sequence[FinishedRun]) -> FinishedRun:
    """The run with tasks that share a column in the same place.

    Where tasks have stages of their own it is their place in the order that they share; else
    columns are tasks.
    """
    if run.has_stage_for_each_task:
        return run
    return run.with_tasks(runs[0].tasks)


def _general(runs: Sequence[FinishedRun]) -> list[str]:
    """The general data that all runs have scored."""
    first, *others = ([task for task in run.general if run.figures_of(task)] for run in runs)
    return [task for task in first if all(task in other for other in others)]


def _scored_columns(runs: Sequence[FinishedRun]) -> list[int]:
    """Places at which any of the runs has a task with figures."""
    places = range(len(runs[0].tasks))
    return [at for at in places if any(run.tasks[at] not in run.unscored for run in runs)]


def _names(several: Sequence[Sequence[str]], kind: str) -> tuple[str, ...]:
    first = several[0]
    if all(tuple(names) == tuple(first) for names in several):
        return tuple(first)
    return tuple(f"{kind} {place}" for place in range(1, len(first) + 1))


def _rows(runs: Sequence[FinishedRun]) -> dict[str, list[Mean | None]]:
    names = _names([run.stages for run in runs], "stage")
    tables = [run.matrix() for run in runs]
    rows = {name: [table[at] for table in tables] for at, name in enumerate(names)}
    untrained = [row for run in runs if (row := run.untrained()) is not None]
    if len(untrained) == len(runs):
        rows = {BEFORE: untrained, **rows}
    return {name: _row(np.stack(found)) for name, found in rows.items()}


def _row(found: Scores) -> list[Mean | None]:
    return [mean(values.tolist()) if np.isfinite(values).all() else None for values in found.T]


def _means(found: Sequence[Mapping[str, float]]) -> dict[str, Mean]:
    names = [name for name in MEASURES if all(name in each for each in found)]
    return {name: mean([each[name] for each in found]) for name in names}

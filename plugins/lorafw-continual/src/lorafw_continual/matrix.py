"""What a matrix of scores says: performance, transfer backward and forward, forgetting.

R[t, i] is the score of task i after the t-th stage of training, counted from 1 and in the order of
training; T is how many tasks, and stages, there are. A higher score is the better one: a loss goes
in as its negative. Scores that were not measured are NaN; a task that never was is in no measure,
and does not count in T or in a mean, though its stage is one of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lorafw.errors import UsageError

Scores: TypeAlias = "NDArray[np.float64]"

MEASURES: Mapping[str, str] = {
    "op": "mean score of all tasks at the end",
    "aaa": "mean, over the stages, of the mean score of the tasks seen",
    "la": "mean score of each task right after its own stage",
    "bwt": "mean change of the earlier tasks since their own stages",
    "bwt_trace": "the same sum, divided by the number of all tasks",
    "forgetting": "mean loss of the earlier tasks from their best",
    "fwt": "mean gain of each task before its own stage over the untrained model",
    "gain": "mean gain of each later task, at its stage, over training it alone",
}
"""What each measure of a finished sequence tells, in the order in which they are shown."""


def as_scores(figures: Scores | Sequence[float], better: str) -> Scores:
    """Figures as scores, of which the higher is the better.

    Args:
        figures: as they were measured.
        better: which of two is the better, `lower` or `higher`.
    """
    values = np.asarray(figures, np.float64)
    return -values if better == "lower" else values


def overall_performance(scores: Scores) -> Scores:
    """OP_t = 1/t Σ_{i≤t} R[t, i], for every t (TRACE, arXiv:2310.06762).

    The last is what Lopez-Paz & Ranzato call ACC (arXiv:1706.08840, eq. 2).

    Args:
        scores: R, [T, T].

    Returns:
        [T]; NaN as long as no task was seen that is measured.
    """
    _check_square(scores)
    found = _measured(scores)
    rows = range(len(scores))
    return np.array([_mean(scores[t, : t + 1][found[: t + 1]]) for t in rows])


def average_anytime_accuracy(scores: Scores) -> float:
    """AAA = 1/T Σ_t OP_t: how well the tasks seen so far are done, all along the sequence."""
    return _mean(overall_performance(scores)[_measured(scores).argmax() :])


def learning_accuracy(scores: Scores) -> float:
    """LA = 1/T Σ_i R[i, i]: how well each task was learned (Riemer et al., arXiv:1810.11910)."""
    _check_square(scores)
    return _mean(np.diagonal(scores)[_measured(scores)])


def backward_transfer(scores: Scores) -> float:
    """BWT = 1/(T-1) Σ_{i<T} (R[T, i] - R[i, i]); negative where tasks were forgotten.

    Lopez-Paz & Ranzato 2017, arXiv:1706.08840, eq. 3. NaN for one task.
    """
    return _mean(_changes(scores))


def backward_transfer_trace(scores: Scores) -> float:
    """BWT = 1/T Σ_{i≤T} (R[T, i] - R[i, i]): the same sum, but a mean over all tasks.

    TRACE's form (arXiv:2310.06762); (T-1)/T of `backward_transfer`. NaN for one task.
    """
    changes = _changes(scores)
    return float(changes.sum() / _measured(scores).sum()) if len(changes) else float("nan")


def forgetting(scores: Scores) -> float:
    """F = 1/(T-1) Σ_{j<T} (max_{l<T} R[l, j] - R[T, j]), l over all earlier stages.

    Chaudhry et al. 2018, arXiv:1801.10112: from a task's best, and so never less than
    what backward transfer loses. Negative where every earlier task was best at the end. Stages
    before a task's own count where they were measured. NaN for one task.
    """
    _check_square(scores)
    earlier = _measured(scores)[:-1]
    best = np.fmax.reduce(scores[:-1, :-1], axis=0, initial=-np.inf)  # what is NaN is no best
    return _mean((best - scores[-1, :-1])[earlier])


def forward_transfer(scores: Scores, untrained: Scores) -> float:
    """FWT = 1/(T-1) Σ_{i≥2} (R[i-1, i] - b[i]): what earlier tasks do for one not yet trained.

    Lopez-Paz & Ranzato 2017, arXiv:1706.08840, eq. 4. NaN for one task.

    Args:
        scores: R, [T, T].
        untrained: b, the scores of the model before any training, [T].
    """
    _check_square(scores)
    _check_row(scores, untrained)
    return _mean((np.diagonal(scores, offset=1) - untrained[1:])[_measured(scores)[1:]])


def gain_over_alone(scores: Scores, alone: Scores) -> float:
    """1/(T-1) Σ_{i≥2} (R[i, i] - s[i]): what earlier tasks do for the learning of later ones.

    The forward transfer of Wang et al. (arXiv:2302.00487). NaN for one task.

    Args:
        scores: R, [T, T].
        alone: s, the score of each task when it is the only one trained, [T].
    """
    _check_square(scores)
    _check_row(scores, alone)
    return _mean((np.diagonal(scores) - alone)[1:][_measured(scores)[1:]])


def measures(
    scores: Scores, *, untrained: Scores | None = None, alone: Scores | None = None
) -> dict[str, float]:
    """Every measure of `MEASURES` that can be had, by name.

    Args:
        scores: R, [T, T]; or [stages, T] of a run that has no stage for each task, such as one
            that trains all together: then only its end is looked at.
        untrained: scores of the model before any training, [T].
        alone: score of each task when it is the only one trained, [T].
    """
    found = {"op": _mean(scores[-1, _measured(scores)])}
    if scores.shape[0] == scores.shape[1]:
        found |= {
            "aaa": average_anytime_accuracy(scores),
            "la": learning_accuracy(scores),
            "bwt": backward_transfer(scores),
            "bwt_trace": backward_transfer_trace(scores),
            "forgetting": forgetting(scores),
        }
        if untrained is not None:
            found["fwt"] = forward_transfer(scores, untrained)
        if alone is not None:
            found["gain"] = gain_over_alone(scores, alone)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _changes(scores: Scores) -> Scores:
    """R[T, i] - R[i, i] of the earlier tasks that are measured; the last one's is 0."""
    _check_square(scores)
    return np.asarray(scores[-1] - np.diagonal(scores))[:-1][_measured(scores)[:-1]]


def _measured(scores: Scores) -> NDArray[np.bool_]:
    """Whether a task was scored after any stage, [T]."""
    return np.asarray(~np.isnan(scores).all(axis=0))


def _mean(values: Scores) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _check_square(scores: Scores) -> None:
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or not len(scores):
        raise UsageError(f"scores are {list(scores.shape)}; every task needs a stage of its own.")


def _check_row(scores: Scores, row: Scores) -> None:
    if row.shape != scores.shape[1:]:
        raise UsageError(f"{list(row.shape)} scores are given for {len(scores)} tasks.")

"""The figures of a model in the midst of its run, its held-out rows shared over the ranks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from lorafw.builtin.metrics.loss import Loss
from lorafw.contracts.metric import Classified, Metric, Outcome, Predicted, Written
from lorafw.errors import DataError, UsageError
from lorafw.evaluation.asking import ASKED, Way
from lorafw.evaluation.read_rows import Row, rows_of, source_of
from lorafw.evaluation.row_texts import answer_text, label_text, prompt_text
from lorafw.figures.resampling import Sums, total
from lorafw.inference.generation.sampling import Sampling
from lorafw.types import Example, Task

if TYPE_CHECKING:
    from lorafw.contracts.scenario import Steer
    from lorafw.contracts.trainer import RunningTrainer
    from lorafw.inference.loaded import LoadedModel

Outcomes: TypeAlias = Mapping[type[Outcome], Outcome]
"""What the model did with one row, by kind."""

_TOGETHER = 16
"""Rows that one rank asks at once. What shares a batch may touch a figure's last bits: so who is in
whose company is settled by the order of rows alone, and not by the number of ranks."""
_LEAST = 1e-38
"""The least probability that is told from none, an fp32 number's."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model did with held-out rows; the same on every rank.

    Attributes:
        figures: by name; by `metric.figure` where several metrics give one of that name.
        predictions: for each row its `prompt`, the model's `answer` and the row's own answer,
            `label`, as texts, in the order of rows; none where no metric looks at answers.
    """

    figures: Mapping[str, float]
    predictions: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class _Measured:
    """One row: what every metric measured of it, and the answer as a text."""

    numbers: Mapping[str, Sums]
    answer: str | None


def score_live(
    model: LoadedModel,
    examples: Sequence[Example],
    metrics: Mapping[str, Metric],
    *,
    running: RunningTrainer,
    steer: Steer | None = None,
    max_new_tokens: int,
) -> Scored:
    """Measure the live model on held-out rows; collective.

    Figures do not depend, to the bit, on how many ranks there are: what is measured of single rows
    is added up in the order of rows.

    Args:
        model: around the live bundle, encoder and adapted model.
        examples: all of one kind; those that teach nothing are left out.
        metrics: by name, each fit for such rows.
        running: whose ranks share the rows; every rank is given the same ones.
        steer: done to the model for each row. All ranks then ask every row, one after another,
            and the held-out `loss` is measured there too: the mean over the trained tokens.
        max_new_tokens: longest answer.

    Raises:
        UsageError: there is no row to measure, or the model is not for such rows.
        DataError: a metric cannot score a row; the message says which.
    """
    rows = rows_of(model, examples) if examples else []
    if not rows:
        raise UsageError("no held-out row has anything to measure.")
    if model.adapted is not None:
        model.adapted.train(mode=False)
    way = Way(sampling=Sampling(max_new_tokens=max_new_tokens))
    if steer is None:
        found = _asked_in_shares(model, rows, metrics, way, running)
    else:
        metrics = _with_loss(metrics)
        found = running.share(_asked_in_turn(model, rows, metrics, way, steer))
    return Scored(_figures(metrics, found), _predictions(model, rows, found))


def own_figure(metrics: Mapping[str, Metric]) -> tuple[str, Literal["lower", "higher"]]:
    """The figure that rows are judged by, as `Scored.figures` names it, and which is the better.

    Args:
        metrics: by name; the first is the rows' own.
    """
    name, metric = next(iter(metrics.items()))
    figure = metric.headline or next(iter(metric.better))
    return _told_apart(metrics)[name, figure], metric.better[figure]


def _asked_in_shares(
    model: LoadedModel,
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    way: Way,
    running: RunningTrainer,
) -> list[_Measured]:
    """Every row, each asked by one rank only."""
    starts, world = range(0, len(rows), _TOGETHER), running.world
    mine = {
        start: _measured_rows(model, rows[start : start + _TOGETHER], metrics, way)
        for start in starts[world.rank :: world.world_size]
    }
    portions = {start: part for each in running.gather(mine) for start, part in each.items()}
    return [each for start in starts for each in portions[start]]


def _measured_rows(
    model: LoadedModel, rows: Sequence[Row], metrics: Mapping[str, Metric], way: Way
) -> list[_Measured]:
    outcomes = _outcomes(model, rows, _kinds(metrics), way)
    return [
        _measured(model, row, metrics, {kind: found[at] for kind, found in outcomes.items()})
        for at, row in enumerate(rows)
    ]


def _asked_in_turn(
    model: LoadedModel,
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    way: Way,
    steer: Steer,
) -> list[_Measured]:
    """Every row by itself, the model steered for it."""
    return [
        _measured(model, row, metrics, _steered(model, row, metrics, way, steer)) for row in rows
    ]


def _steered(
    model: LoadedModel, row: Row, metrics: Mapping[str, Metric], way: Way, steer: Steer
) -> Outcomes:
    with steer(row.example) as asked:
        seen = row if asked is row.example else _row_of(model, asked, row.number)
        outcomes = _outcomes(model, [seen], _kinds(metrics), way)
    return {kind: _about(model, row, found[0]) for kind, found in outcomes.items()}


def _row_of(model: LoadedModel, example: Example, number: int) -> Row:
    """What a row was made into."""
    for row in rows_of(model, [example]):
        return replace(row, number=number)
    raise UsageError("what the scenario makes of it teaches nothing.", where=f"row {number}")


def _about(model: LoadedModel, row: Row, outcome: Outcome) -> Outcome:
    """The outcome as one of the row itself, whatever was asked in its place."""
    if not isinstance(outcome, Written):
        return outcome
    wanted = model.row_encoder.response(row.example)
    return replace(outcome, reference=wanted, source=source_of(row.example))


def _outcomes(
    model: LoadedModel, rows: Sequence[Row], kinds: Iterable[type[Outcome]], way: Way
) -> dict[type[Outcome], list[Outcome]]:
    if model.bundle.task is Task.CLASSIFICATION:
        found = ASKED[Classified](model, rows, way)
        return {Classified: found, Predicted: [_surprise(each) for each in found]}
    return {kind: ASKED[kind](model, rows, way) for kind in kinds}


def _surprise(outcome: Outcome) -> Predicted:
    """A classifier's loss of one row: -log p of its class."""
    assert isinstance(outcome, Classified)
    return Predicted(-math.log(max(outcome.probabilities[outcome.label], _LEAST)), 1)


def _kinds(metrics: Mapping[str, Metric]) -> Iterable[type[Outcome]]:
    return dict.fromkeys(metric.reads for metric in metrics.values())


def _with_loss(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    if any(isinstance(metric, Loss) for metric in metrics.values()):
        return dict(metrics)
    return {"loss": _LossAlone(), **metrics}


class _LossAlone(Loss):
    """The loss, which is asked for whatever the metrics are."""

    def summarise(self, totals: Sums) -> Mapping[str, float]:
        return {"loss": super().summarise(totals)["loss"]}


def _measured(
    model: LoadedModel, row: Row, metrics: Mapping[str, Metric], outcomes: Outcomes
) -> _Measured:
    try:
        numbers = {name: metric.measure(outcomes[metric.reads]) for name, metric in metrics.items()}
    except DataError as error:
        raise DataError(error.what, where=f"held-out row {row.number}", mend=error.mend) from None
    answers = (answer_text(model, row, outcome) for outcome in outcomes.values())
    return _Measured(numbers, next((each for each in answers if each is not None), None))


def _figures(metrics: Mapping[str, Metric], found: Sequence[_Measured]) -> dict[str, float]:
    by_metric = {
        name: metric.summarise(total([row.numbers[name] for row in found]))
        for name, metric in metrics.items()
    }
    names = _told_apart(metrics)
    return {
        names[name, figure]: value
        for name, figures in by_metric.items()
        for figure, value in figures.items()
    }


def _told_apart(metrics: Mapping[str, Metric]) -> dict[tuple[str, str], str]:
    """What figures are called, by their metric's name and their own."""
    given = Counter(figure for metric in metrics.values() for figure in metric.better)
    return {
        (name, figure): figure if given[figure] == 1 else f"{name}.{figure}"
        for name, metric in metrics.items()
        for figure in metric.better
    }


def _predictions(
    model: LoadedModel, rows: Sequence[Row], found: Sequence[_Measured]
) -> list[dict[str, str]]:
    return [
        {
            "prompt": prompt_text(model, row),
            "answer": measured.answer,
            "label": label_text(model, row),
        }
        for row, measured in zip(rows, found, strict=True)
        if measured.answer is not None
    ]

"""A model's figures on rows, beside those of its base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.contracts.metric import Metric, Outcome
from lorafw.errors import DataError, UsageError
from lorafw.evaluation.asking import ASKED, Ticking, Way, silent
from lorafw.evaluation.choosing import build_metrics, usual_metrics
from lorafw.evaluation.classes import confusion, numbered_as
from lorafw.evaluation.predictions import predictions
from lorafw.evaluation.read_rows import Row, rows_of
from lorafw.evaluation.report import Line, Report, Settings
from lorafw.evaluation.row_source import Rows, RowSource, read_rows
from lorafw.figures.comparison import compare
from lorafw.figures.resampling import RESAMPLES, Resamples, Sums
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import TUNED
from lorafw.inference.loading import load as load_model

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel

BASE, MODEL = "base", "model"
Outcomes = Mapping[type[Outcome], Sequence[Outcome]]
"""What one model did with the rows, by kind, row by row."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured.

    Attributes:
        source: which rows.
        metrics: names; empty for those that suit the rows.
        options: of metrics, by name.
        base: ask the base too, where there is an adapter that can be switched off.
        limit: most rows, the first of them; None for all.
        max_new_tokens: longest answer, in tokens.
        resamples: how many to draw for intervals; 0 for none.
        seed: of the draws.
    """

    source: RowSource = field(default_factory=RowSource)
    metrics: Sequence[str] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base: bool = True
    limit: int | None = None
    max_new_tokens: int = 256
    resamples: int = RESAMPLES
    seed: int = 0


def evaluate(
    path: str | Path,
    request: Request | None = None,
    *,
    load: Callable[[], LoadedModel] | None = None,
    ticking: Ticking = silent,
) -> Report:
    """Measure a model, and its base on the same rows.

    Args:
        path: of the model; a run's own rows are looked for there.
        request: what is to be measured.
        load: loads the model; by default `lorafw.load` does. Called when the rows have been read.
        ticking: told of the progress.

    Raises:
        LorafwError: what is wrong with the rows, the metrics, the model or their fit.
    """
    request = request or Request()
    read = read_rows(request.source, path, request.limit)
    names = request.metrics or usual_metrics(read.examples)
    metrics = build_metrics(names, request.options, read.kind)
    model = (load or partial(load_model, path))()
    rows = rows_of(model, numbered_as(model.bundle.labels, read.examples, read.labels))
    if not rows:
        raise UsageError("no row has anything to measure.", where=read.name)
    found = _outcomes(model, rows, metrics, request, ticking)
    return _report(model, path, read, rows, metrics, found, request)


def _outcomes(
    model: LoadedModel,
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    request: Request,
    ticking: Ticking,
) -> dict[str, Outcomes]:
    """What the model did with the rows and, where it is asked, its base."""
    kinds = list(dict.fromkeys(metric.reads for metric in metrics.values()))
    base = {BASE: False} if request.base and model.has_base else {}
    sampling = Sampling(max_new_tokens=request.max_new_tokens)
    return {
        name: {kind: ASKED[kind](model, rows, Way(adapter, sampling, ticking)) for kind in kinds}
        for name, adapter in {**base, MODEL: True}.items()
    }


def _report(
    model: LoadedModel,
    path: str | Path,
    read: Rows,
    rows: Sequence[Row],
    metrics: Mapping[str, Metric],
    found: Mapping[str, Outcomes],
    request: Request,
) -> Report:
    tuned = model.adapted is not None
    named = {(TUNED if tuned and who == MODEL else who): did for who, did in found.items()}
    count = request.resamples if len(rows) > 1 else 0  # one row tells nothing of others
    resamples = Resamples(len(rows), count=count, seed=request.seed)
    measured = {
        name: {
            who: _measured(metric, rows, did[metric.reads], read.name) for who, did in found.items()
        }
        for name, metric in metrics.items()
    }
    return Report(
        model=str(path),
        tuned=tuned,
        data=read.name,
        rows=len(rows),
        left_out=len(read.examples) - len(rows),
        settings=Settings(request.max_new_tokens, count, request.seed),
        metrics={name: metric.model_dump(mode="json") for name, metric in metrics.items()},
        lines=[
            line
            for name, metric in metrics.items()
            for line in _lines(name, metric, measured[name], resamples)
        ],
        predictions=predictions(model, rows, metrics, named),
        labels=model.bundle.labels,
        confusion=confusion(named, len(model.bundle.labels)),
    )


def _lines(
    name: str, metric: Metric, measured: Mapping[str, Sequence[Sums]], resamples: Resamples
) -> list[Line]:
    compared = compare(measured[MODEL], measured.get(BASE), metric.summarise, resamples)
    return [Line(name, figure, metric.better[figure], each) for figure, each in compared.items()]


def _measured(
    metric: Metric, rows: Sequence[Row], outcomes: Sequence[Outcome], source: str
) -> list[Sums]:
    measured = []
    for row, outcome in zip(rows, outcomes, strict=True):
        try:
            measured.append(metric.measure(outcome))
        except DataError as error:
            where = f"{source}, row {row.number}"
            raise DataError(error.what, where=where, mend=error.mend) from None
    return measured

"""`lorafw evaluate`: a model's figures on rows, beside those of its base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.assembly.registry import Registry
from lorafw.cli.loading_flags import LoadingFlags, loading_flags
from lorafw.cli.ticker import ticking
from lorafw.errors import UsageError
from lorafw.types import Split

if TYPE_CHECKING:
    from lorafw.evaluation.evaluate import Request
    from lorafw.evaluation.report import Report

_FILE = click.Path(path_type=Path)


@click.command()
@loading_flags
@click.option(
    "--data", metavar="FILE", help="Rows to measure on; by default those that the run held out."
)
@click.option("--dataset", metavar="NAME", help="What reads them; by default files of any kind.")
@click.option("--config", metavar="FILE", type=_FILE, help="A config whose rows to take.")
@click.option(
    "--split",
    type=click.Choice([split.value for split in Split]),
    default=Split.EVAL.value,
    show_default=True,
    help="Which rows of a config: those held out, or those to train on.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="What to measure besides the loss; repeatable; by default what suits the rows.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Most rows; all by default.")
@click.option(
    "--max-new-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Longest answer, in tokens.",
)
@click.option("--compare/--no-compare", default=True, help="Measure the base too, the default.")
@click.option(
    "--resamples",
    metavar="N",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="How often rows are drawn anew for intervals; 0 for none.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws."
)
@click.option(
    "--json", "record", metavar="FILE", type=_FILE, help="Write JSON, and a page beside it."
)
@click.option(
    "--predictions", metavar="FILE", type=_FILE, help="Write every row, its answers and scores."
)
@click.option(
    "--harness",
    metavar="TASKS",
    help="Measure tasks of lm-evaluation-harness instead, names or YAML files, between commas.",
)
def evaluate(
    loading: LoadingFlags,
    *,
    record: Path | None,
    predictions: Path | None,
    harness: str | None,
    **wishes: Any,
) -> None:
    """Measure what is at PATH on rows, and its base on the same rows.

    PATH is what `lorafw generate` takes. Figures come with 95% intervals, from a paired bootstrap
    over the rows. With -o, a name with a dot sets an option of the dataset or of a metric, such
    as dataset.fields={prompt: q, response: a} or bleu.tokenize=zh.
    """
    from lorafw.cli.evaluate_harness import measure_tasks
    from lorafw.cli.evaluation_table import show
    from lorafw.evaluation.evaluate import evaluate as measure

    request, loading = _request(loading, **wishes)
    _check_places(record, predictions)
    if harness is not None:
        measure_tasks(loading, harness, request, record)
        return
    report = measure(loading.path, request, load=loading.load, ticking=ticking)
    show(report)  # first: a full disk shall not cost what was measured
    if record is not None:
        _write_record(report, record)
    if predictions is not None:
        _write_predictions(report, predictions)


def _request(
    loading: LoadingFlags,
    *,
    data: str | None,
    dataset: str | None,
    config: Path | None,
    split: str,
    metrics: tuple[str, ...],
    compare: bool,
    **given: int,
) -> tuple[Request, LoadingFlags]:
    """What is to be measured, and how to load it: `-o` serves both."""
    from lorafw.evaluation.choosing import split_options
    from lorafw.evaluation.evaluate import Request
    from lorafw.evaluation.row_source import RowSource

    if data is None and dataset is not None:
        raise UsageError("goes with --data.", where="--dataset")
    if data is not None and config is not None:
        raise UsageError("say which rows: either --data or --config.")
    registry = Registry()
    for name in metrics:
        registry.find("metric", name)
    dotted = [each for each in loading.override if "." in each.partition("=")[0]]
    of_dataset, of_metrics = split_options(dotted, (*registry.names("metric"), *metrics))
    source = RowSource(data, dataset or "", config, Split(split), of_dataset)
    bare = tuple(each for each in loading.override if each not in dotted)
    request = Request(source, metrics, of_metrics, compare, **given)
    return request, replace(loading, override=bare)


def _check_places(*files: Path | None) -> None:
    """Refuse a place that cannot be written, before anything takes time."""
    for file in files:
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            fault = "is a folder." if file.is_dir() else f"there is no folder {file.parent}."
            raise UsageError(fault, where=str(file))


def _write_record(report: Report, file: Path) -> None:
    from lorafw.adapters.files.safe_files import replace_text
    from lorafw.evaluation.page import render

    page = file.with_suffix(".html")
    replace_text(file, json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    replace_text(page, render(report))
    click.echo(f"Written: {file}, {page}", err=True)


def _write_predictions(report: Report, file: Path) -> None:
    from lorafw.adapters.files.safe_files import replace_text

    lines = (json.dumps(each, ensure_ascii=False) + "\n" for each in report.predictions)
    replace_text(file, "".join(lines))
    click.echo(f"Written: {file}", err=True)

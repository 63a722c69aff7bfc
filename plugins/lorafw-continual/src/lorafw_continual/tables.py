"""A summary as JSON values, and as tables: drawn on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lorafw_continual.matrix import MEASURES
from lorafw_continual.statistics import LEVEL, PERMUTED

if TYPE_CHECKING:
    from lorafw_continual.finished_runs import FinishedRun
    from lorafw_continual.statistics import Mean
    from lorafw_continual.summarize import Difference, Summary

SCORES = "Measures are of scores, the higher the better: a loss counts as its negative."


def show_summary(summary: Summary) -> None:
    """Print the mean matrix, the measures, and how to read them."""
    heads = [_head(*pair) for pair in zip(summary.tasks, summary.judged_by, strict=True)]
    rows = [[stage, *map(_short, row)] for stage, row in summary.rows.items()]
    _print("What each task comes to after each stage", ["after", *heads], rows)
    cells = [[name, *_long(value), MEASURES[name]] for name, value in summary.measures.items()]
    _print("Measures", ["measure", "mean", "95% interval", "what it is"], cells)
    click.echo("\n".join(_after_summary(summary)))


def show_comparison(
    found: Mapping[str, Difference], first: Sequence[FinishedRun], second: Sequence[FinishedRun]
) -> None:
    """Print every measure of both groups, their difference and how sure it is."""
    names = (_group(first, "first"), _group(second, "second"))
    ours, theirs = names if names[0] != names[1] else (f"{names[0]}, first", f"{names[1]}, second")
    rows = [
        [
            name,
            _short(each.first),
            _short(each.second),
            *_long(each.difference, sign="+"),
            "-" if each.test is None else f"{each.test.p:.4g}",
        ]
        for name, each in found.items()
    ]
    heads = ["measure", ours, theirs, "difference", "95% interval", "p"]
    _print("Paired by seed", heads, rows)
    click.echo("\n".join(_after_comparison(found, len(first))))


def summary_json(summary: Summary) -> dict[str, Any]:
    """A summary as JSON values."""
    return {
        "runs": [_run_json(run) for run in summary.runs],
        "level": LEVEL,
        "tasks": list(summary.tasks),
        "judged_by": list(summary.judged_by),
        "general": list(summary.general),
        "unscored": list(summary.unscored),
        "matrix": {
            stage: [None if value is None else _mean_json(value) for value in row]
            for stage, row in summary.rows.items()
        },
        "measures": {name: _mean_json(value) for name, value in summary.measures.items()},
    }


def comparison_json(
    found: Mapping[str, Difference], first: Sequence[FinishedRun], second: Sequence[FinishedRun]
) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "first": [_run_json(run) for run in first],
        "second": [_run_json(run) for run in second],
        "level": LEVEL,
        "measures": {
            name: {
                "first": _mean_json(each.first),
                "second": _mean_json(each.second),
                "difference": _mean_json(each.difference),
                "test": None if each.test is None else each.test.name,
                "p": None if each.test is None else each.test.p,
            }
            for name, each in found.items()
        },
    }


def _run_json(run: FinishedRun) -> dict[str, Any]:
    return {"folder": str(run.folder), "scenario": run.scenario, "seed": run.seed}


def _mean_json(value: Mean) -> dict[str, Any]:
    ends = {"low": value.low, "high": value.high}
    return {"mean": value.value, **ends, "values": list(value.values)}


def _head(task: str, figure: str) -> str:
    return f"{task} ({figure})"


def _short(value: Mean | None) -> str:
    if value is None:
        return "-"
    return f"{value.value:.4f}" + ("" if value.half is None else f" ±{value.half:.4f}")


def _long(value: Mean, sign: str = "") -> tuple[str, str]:
    if value.half is None:
        return f"{value.value:{sign}.4f}", "-"
    return f"{value.value:{sign}.4f}", f"[{value.low:{sign}.4f}, {value.high:{sign}.4f}]"


def _group(runs: Sequence[FinishedRun], otherwise: str) -> str:
    """The scenario, where a group has one."""
    names = {run.scenario for run in runs}
    return names.pop() if len(names) == 1 else otherwise


def _after_summary(summary: Summary) -> Iterator[str]:
    count = len(summary.runs)
    if count > 1:
        yield f"± and intervals: 95%, from Student's t over {count} runs."
    else:
        yield "One run: no interval."
    if summary.general:
        yield f"General data, which no measure counts: {', '.join(summary.general)}."
    if summary.unscored:
        names = ", ".join(summary.unscored)
        yield f"Without held-out rows, so that no measure counts them: {names}."
    yield SCORES


def _after_comparison(found: Mapping[str, Difference], pairs: int) -> Iterator[str]:
    yield SCORES
    tests = {each.test.name for each in found.values() if each.test is not None}
    if not tests:
        yield "One pair of runs tells nothing of chance."
    for name in tests:
        least = f", which cannot show less than p = {2.0 ** (1 - pairs):.4g}" * (name == PERMUTED)
        yield f"p: two-sided, from the {name} over {pairs} seeds{least}."


def _print(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*heads, title=title, title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        from lorafw.cli.tables import columns

        click.echo("\n".join([title, *columns([heads, *rows])]))
    click.echo()

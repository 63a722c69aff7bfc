"""An evaluation as a table: colours on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.evaluation.report import Line, Report
    from lorafw.figures.resampling import Estimate

COLOURS = {"better": "green", "worse": "red", "": ""}


def show(report: Report) -> None:
    """Print what was measured on how many rows, the figures, and how to read them."""
    rows = [_cells(report, line) for line in report.lines]
    if sys.stdout.isatty():
        _print_table(report, rows)
    else:
        click.echo("\n".join(columns([_heads(report), *rows])))
    click.echo("\n" + "\n".join(_after(report)))


def _heads(report: Report) -> tuple[str, ...]:
    base = ("BASE", report.name.upper(), "DIFFERENCE", "") if report.has_base else ()
    return ("FIGURE", *(base or (report.name.upper(),)))


def _cells(report: Report, line: Line) -> tuple[str, ...]:
    found = line.compared
    if not report.has_base:
        return (line.figure, _estimate(found.model))
    values = (found.base, found.model)
    return (
        line.figure,
        *map(_estimate, values),
        _estimate(found.difference, sign="+"),
        line.verdict,
    )


def _after(report: Report) -> Iterator[str]:
    settings = report.settings
    left_out = f", {report.left_out:,} left out: nothing to measure" if report.left_out else ""
    yield f"{report.rows:,} row{'s' * (report.rows != 1)} of {report.data}{left_out}."
    if settings.resamples:
        yield (
            f"In brackets: 95% intervals, from {settings.resamples:,} resamples of the rows"
            + (", the same for both." if report.has_base else ".")
        )


def _print_table(report: Report, rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_heads(report), box=None, pad_edge=False)
    for line, cells in zip(report.lines, rows, strict=True):
        table.add_row(*cells[:-1], Text(cells[-1], style=COLOURS[line.verdict]))
    Console().print(table)


def _estimate(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "-"
    value = _number(estimate.value, sign)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{_number(estimate.low, sign)}, {_number(estimate.high, sign)}]"


def _number(value: float, sign: str) -> str:
    return f"{value:{sign}.4f}" if abs(value) < 10_000 else f"{value:{sign}.4g}"

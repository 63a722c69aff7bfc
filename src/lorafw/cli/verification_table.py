"""A comparison as a table: colours on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.verification.report import Report, Row

HEAD = ("TRAINER", "RANKS", "INJECTOR", "LAYOUT", "BUDGET")
COLOURS = {"holds": "green", "differs": "red", "failed": "red", "skipped": "yellow"}


def show(report: Report) -> None:
    """Print what was compared, row by row, what may differ, and the verdict."""
    for line in _before(report):
        click.echo(line)
    heads = (*HEAD, *(what.upper() for what in report.limits), "VERDICT")
    rows = [_cells(report, row) for row in report.rows]
    if sys.stdout.isatty():
        _print_table(report, heads, rows)
    else:
        click.echo("\n".join(columns([heads, *rows])))
    for line in _after(report):
        click.echo(line)


def _before(report: Report) -> Iterator[str]:
    yield f"Reference: {report.reference}; {report.steps} steps, {report.dtype} base."
    yield from (f"Random: {sentence}" for sentence in report.random)
    yield ""


def _cells(report: Report, row: Row) -> tuple[str, ...]:
    differences = (_number(row.differences.get(what)) for what in report.limits)
    verdict = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
    choices = (row.trainer, _text(row.ranks), row.injector, row.layout, _text(row.budget))
    return (*choices, *differences, verdict)


def _after(report: Report) -> Iterator[str]:
    largest = report.largest()
    rows = [
        (what, _number(largest[what]), _number(limit.value), limit.source)
        for what, limit in report.limits.items()
    ]
    yield from ("", *columns([("COMPARED", "LARGEST", "ALLOWED", "BECAUSE"), *rows]))
    counts = [
        f"{sum(row.verdict == verdict for row in report.rows)} {verdict}" for verdict in COLOURS
    ]
    yield f"\n{'Holds' if report.holds else 'Does not hold'}: {', '.join(counts)}."


def _print_table(report: Report, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None, pad_edge=False)
    for row, cells in zip(report.rows, rows, strict=True):
        table.add_row(*cells[:-1], Text(cells[-1], style=COLOURS[row.verdict]))
    Console().print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)

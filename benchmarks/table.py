"""Figures beside their ratio to a reference, as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.table import Table

F = TypeVar("F")


@dataclass(frozen=True)
class Column(Generic[F]):
    """One figure.

    Attributes:
        heading: with the unit.
        read: takes the figure out of what a row holds; None where it has none.
        form: format specification of the figure.
        ratio: whether the ratio to the reference is shown beside it.
    """

    heading: str
    read: Callable[[F], float | None]
    form: str
    ratio: bool = True


def comparison(
    title: str, rows: Mapping[str, F], columns: Sequence[Column[F]], *, reference: F | None
) -> Table:
    """A table with a row per name; ratios are row / reference, left out without a reference."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right")
        if column.ratio:
            table.add_column("ratio", justify="right", style="dim")
    for name, row in rows.items():
        table.add_row(
            name, *(cell for column in columns for cell in _cells(column, row, reference))
        )
    return table


def _cells(column: Column[F], row: F, reference: F | None) -> list[str]:
    value = column.read(row)
    figure = "-" if value is None else format(value, column.form)
    if not column.ratio:
        return [figure]
    against = None if reference is None else column.read(reference)
    return [figure, f"{value / against:.2f}x" if value is not None and against else "-"]

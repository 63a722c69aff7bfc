from __future__ import annotations

import io

from benchmarks.table import Column, comparison
from rich.console import Console

COLUMNS = [
    Column[float]("speed", lambda row: row, ".0f"),
    Column[float]("loss", lambda row: row / 10, ".1f", ratio=False),
]


def _lines(*, reference: float | None) -> list[list[str]]:
    table = comparison("", {"ours": 40.0, "theirs": 10.0}, COLUMNS, reference=reference)
    output = io.StringIO()
    Console(file=output, width=100).print(table)
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in output.getvalue().splitlines()
        if line.startswith("│")
    ]


def test_every_figure_has_its_ratio_beside_it() -> None:
    assert _lines(reference=40.0) == [
        ["ours", "40", "1.00x", "4.0"],
        ["theirs", "10", "0.25x", "1.0"],
    ]


def test_without_a_reference_there_are_no_ratios() -> None:
    assert _lines(reference=None)[1] == ["theirs", "10", "-", "1.0"]

"""Listener `csv`: a row of figures for each step."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorafw.assembly.hooks import listens
from lorafw.builtin.trackers._figures import FIRST_STAGE, of_evaluation, step_figures
from lorafw.builtin.trackers._told import goes_on
from lorafw.contracts.listener import Listener

FILE = "metrics.csv"
COLUMNS = (
    "stage",
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "grad_norm",
    "tokens",
    "seconds",
    "tokens_per_second",
    "skipped",
)
"""Columns that every file begins with; those of evaluations follow, `eval/loss` and so on."""

Row = dict[str, Any]


class MetricsCsv(Listener):
    """Writes metrics.csv into the run's folder: a row for each step, with its evaluation."""

    def open(self, folder: Path) -> object:
        """A listener that writes when training begins."""
        return _Table(folder)


class _Table:
    """Holds the last row, for an evaluation to be added to it; the file always has it too."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / FILE
        self._stage = FIRST_STAGE
        self._columns = list(COLUMNS)
        self._last: Row = {}
        self._last_begins = 0

    @listens
    def run_start(self) -> None:
        if not goes_on(self._folder):
            self._path.unlink(missing_ok=True)

    @listens
    def stage_start(self, stage: str) -> None:
        self._stage = stage

    @listens
    def fit_start(self, start: int) -> None:
        """Keep the rows up to the step that training goes on from."""
        self._rewrite([row for row in self._rows() if not self._is_beyond(row, start)])

    @listens
    def step_end(
        self,
        step: int,
        epoch: float,
        loss: float,
        grad_norm: float,
        learning_rate: float,
        tokens: int,
        seconds: float,
        skipped: bool,
    ) -> None:
        figures = step_figures(epoch, loss, grad_norm, learning_rate, tokens, seconds)
        counts = {"tokens": tokens, "seconds": seconds, "skipped": int(skipped)}
        self._append(self._row(step) | counts | figures)

    @listens
    def evaluation_end(self, step: int, figures: Mapping[str, float]) -> None:
        named = of_evaluation(FIRST_STAGE, figures)  # the stage has a column of its own
        if named.keys() - set(self._columns):
            self._add_columns(named)
        if self._is_last(step):
            self._replace_last(self._last | named)
        else:
            self._append(self._row(step) | named)

    def _row(self, step: int) -> Row:
        return {"stage": self._stage, "step": step}

    def _is_last(self, step: int) -> bool:
        place = (self._last.get("stage"), str(self._last.get("step")))
        return place == (self._stage, str(step))

    def _is_beyond(self, row: Mapping[str, str], start: int) -> bool:
        return row["stage"] == self._stage and int(row["step"]) > start

    def _append(self, row: Row) -> None:
        with self._path.open("a", encoding="utf-8", newline="") as file:
            self._last, self._last_begins = row, file.tell()
            csv.DictWriter(file, self._columns).writerow(row)

    def _replace_last(self, row: Row) -> None:
        with self._path.open("r+", encoding="utf-8", newline="") as file:
            file.seek(self._last_begins)
            file.truncate()
        self._append(row)

    def _add_columns(self, named: Mapping[str, float]) -> None:
        rows = self._rows()
        self._columns += [name for name in named if name not in self._columns]
        self._rewrite(rows)

    def _rows(self) -> list[Row]:
        """The whole rows of the file; a killed process may have left a piece of one."""
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            lines = [line for line in file if line.endswith("\n")]
        reader = csv.DictReader(lines)
        self._columns = list(reader.fieldnames or COLUMNS)
        return list(reader)

    def _rewrite(self, rows: list[Row]) -> None:
        """Put a new file in the old one's place; its last row stays open for an evaluation."""
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows[:-1])
        temporary.replace(self._path)
        self._last = {}
        for row in rows[-1:]:
            self._append(row)

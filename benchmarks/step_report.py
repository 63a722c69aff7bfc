"""What `benchmarks.step` shows and writes: the table, the losses of all runs, JSON, a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from benchmarks.contestants import CONTESTANTS, FLOOR, REFERENCE
from benchmarks.floors import Demand, beside, demands
from benchmarks.gemm_floor import steps_of, told
from benchmarks.job import Job
from benchmarks.plot import Panel, write_bars
from benchmarks.rounds import Outcomes
from benchmarks.shapes import SHAPES
from benchmarks.summary import Figures, above, summarise, verdict
from benchmarks.table import Column, comparison

PACKAGES = ("lorafw", "torch", "transformers", "peft", "trl")
COLUMNS = (
    Column[Figures]("tokens/s", lambda row: row.tokens_per_second, ".0f"),
    Column[Figures]("of floor", lambda row: row.of_floor, ".0%", ratio=False),
    Column[Figures]("wall s", lambda row: row.seconds, ".1f", ratio=False),
    Column[Figures]("CPU s", lambda row: row.cpu_seconds, ".1f", ratio=False),
    Column[Figures]("CPU s / 1k tokens", lambda row: row.cpu_seconds_per_kilotoken, ".2f"),
    Column[Figures]("peak GB", lambda row: row.peak_bytes / 1e9, ".2f"),
    Column[Figures]("first loss", lambda row: row.first_loss, ".4f", ratio=False),
    Column[Figures]("last loss", lambda row: row.last_loss, ".4f", ratio=False),
)
PANELS = (
    Panel[Figures]("tokens/s", lambda row: row.tokens_per_second),
    Panel[Figures]("CPU s / 1k tokens", lambda row: row.cpu_seconds_per_kilotoken),
    Panel[Figures]("peak GB", lambda row: row.peak_bytes / 1e9),
)


class Report:
    """Medians of all runs of a job, and what follows from them."""

    def __init__(self, outcomes: Outcomes, job: Job, title: str) -> None:
        self._outcomes, self._job, self._title = outcomes, job, title
        figures = {name: summarise(each) for name, each in outcomes.items()}
        self._figures = above(figures.get(FLOOR), figures)

    def table(self) -> Table:
        """A row per contestant."""
        rows = {f"{self._label(n)}\n  {CONTESTANTS[n].note}": f for n, f in self._figures.items()}
        reference = self._figures.get(REFERENCE)
        return comparison(self._title, rows, COLUMNS, reference=reference)

    def losses(self) -> Table:
        """A row per run, a column per step."""
        table = Table(title="Loss of every step of every run", title_justify="left")
        table.add_column("run", no_wrap=True)
        runs = [
            (name, number, outcome.losses)
            for name, each in self._outcomes.items()
            for number, outcome in enumerate(each, 1)
            if outcome.losses
        ]
        for step in range(max((len(losses) for _, _, losses in runs), default=0)):
            table.add_column(str(step + 1), justify="right")
        for name, number, losses in runs:
            order = " (rows in other steps)" if CONTESTANTS[name].by_length else ""
            table.add_row(f"{name}, round {number}{order}", *(f"{loss:.4f}" for loss in losses))
        return table

    def verdicts(self) -> list[tuple[bool, str]]:
        """Whether losses agree, and the sentences that say so."""
        first = _losses({name: row.first_loss for name, row in self._figures.items()})
        last = _losses({name: row.last_loss for name, row in self._figures.items()})
        same = {name: loss for name, loss in last.items() if not CONTESTANTS[name].by_length}
        wanted = {"First losses": first, "Last losses (same rows in every step)": same}
        return [verdict(what, losses) for what, losses in wanted.items() if losses]

    def floor(self) -> str:
        """How much the bare matrix products are; empty if they were not timed."""
        figures = self._figures.get(FLOOR)
        if figures is None:
            return ""
        job = self._job
        timed = steps_of(job.rows())[job.warmup :]
        return told(SHAPES[job.shape], job.layers, timed, figures.seconds)

    def demands(self) -> list[Demand]:
        """What lorafw must reach with its defaults; nothing if it did not take part."""
        ours = self._figures.get(REFERENCE)
        if ours is None:
            return []
        return demands(self._job.shape, ours, self._figures)

    def beside(self) -> list[str]:
        """How it compares with those that are not judged by."""
        ours = self._figures.get(REFERENCE)
        return [] if ours is None else beside(ours, self._figures)

    def write(self, path: Path) -> None:
        """All runs, their medians and their conditions, as JSON."""
        contestants = {
            name: {**asdict(figures), "rounds": [asdict(run) for run in self._outcomes[name]]}
            for name, figures in self._figures.items()
        }
        conditions = {"title": self._title, **asdict(self._job), **_machine()}
        report = {"conditions": conditions, "contestants": contestants}
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    def draw(self, path: Path) -> None:
        """Bars for speed, work and memory; the file's ending says which format."""
        rows = {self._label(name): figures for name, figures in self._figures.items()}
        write_bars(path, self._title, rows, PANELS)

    def _label(self, name: str) -> str:
        return CONTESTANTS[name].label


def _losses(losses: Mapping[str, float | None]) -> dict[str, float]:
    return {name: loss for name, loss in losses.items() if loss is not None}


def _machine() -> dict[str, object]:
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {package: version(package) for package in PACKAGES},
    }

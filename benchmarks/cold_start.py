"""`python -m benchmarks.cold_start`: seconds from `lorafw run` to its first finished step."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import click
from rich.console import Console

from benchmarks.contestants import has_fast_path
from benchmarks.environment import environment
from benchmarks.first_step import Start, timed, write_rows
from benchmarks.table import Column, comparison

ALLOWED_SECONDS = 6.0
ASKED_FOR = "kernels compiled"  # what no default chooses for so short a run is shown, not judged
COLUMNS = (
    Column[Start]("s to the first step", lambda row: row.first_step, ".2f"),
    Column[Start]("s to the end", lambda row: row.whole, ".2f"),
    Column[Start]("CPU s to the end", lambda row: row.cpu_seconds, ".2f"),
)


@click.command()
@click.option(
    "--rounds",
    default=5,
    type=click.IntRange(min=1),
    show_default=True,
    help="Runs of each, taken in turn.",
)
@click.option("--threads", default=os.cpu_count(), show_default=True, help="Threads of a run.")
@click.option("--allowed", default=ALLOWED_SECONDS, show_default=True, help="Seconds to a step.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(rounds: int, threads: int, allowed: float, report: Path | None) -> None:
    """Start one step of a tiny model over and over, with empty caches and with filled ones.

    Caches are those of encoded rows and of compiled kernels.
    """
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        starts = _play(Path(scratch), rounds, threads)
    medians = {name: _median(each) for name, each in starts.items()}
    title = f"One step of lorafw:demo, {threads} threads, medians of {rounds}"
    reference = next(iter(medians.values()))
    table = comparison(title, medians, COLUMNS, reference=reference)
    Console(width=max(Console().width, 110)).print(table)
    if report is not None:
        told = {name: [asdict(start) for start in each] for name, each in starts.items()}
        report.write_text(json.dumps({"conditions": title, "starts": told}, indent=2) + "\n")
    judged = {name: start for name, start in medians.items() if ASKED_FOR not in name}
    slow = [name for name, start in judged.items() if start.first_step > allowed]
    click.echo(f"Over {allowed:g} s: {'; '.join(slow)}." if slow else f"All within {allowed:g} s.")
    sys.exit(1 if slow else 0)


def _play(folder: Path, rounds: int, threads: int) -> Mapping[str, Sequence[Start]]:
    """In each round every variant begins without caches, and then finds its own."""
    rows = folder / "rows.jsonl"
    write_rows(rows)
    starts: dict[str, list[Start]] = {}
    for number in range(rounds):
        for variant, options in _variants().items():
            caches = folder / f"{number}-{variant}"
            for state in ("empty", "filled"):
                env = environment(caches, threads=threads)
                start = timed(rows, caches / state, env, *options)
                starts.setdefault(f"{variant}, {state} caches", []).append(start)
                told = f"{start.first_step:.2f} s"
                click.echo(f"round {number + 1}: {variant}, {state} caches: {told}", err=True)
    return starts


def _variants() -> Mapping[str, Sequence[str]]:
    """Options of each; without a fast path there is one way only."""
    if not has_fast_path():
        return {"defaults": ()}
    return {
        "defaults": (),
        ASKED_FOR: ("injector.kernels=compiled",),
        "fast off": ("injector.fast=off",),
    }


def _median(starts: Sequence[Start]) -> Start:
    return Start(
        median(start.first_step for start in starts),
        median(start.whole for start in starts),
        median(start.cpu_seconds for start in starts),
    )


if __name__ == "__main__":
    main()

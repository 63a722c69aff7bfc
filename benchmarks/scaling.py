"""`python -m benchmarks.scaling`: what a token costs, by number of rows and by their length."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.many_rows import write_many, write_of_length
from benchmarks.metered_run import Metered, metered
from benchmarks.model import ALPHA, RANK, SEED, build_model
from benchmarks.plot import Panel, write_lines
from benchmarks.scaling_cost import ALLOWED, Cost, cost_of, growth
from benchmarks.shapes import SHAPES
from benchmarks.table import Column, comparison

COUNT, LENGTH = "rows", "tokens per row"
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
WARMUP = 3
ROWS_PER_STEP = 32
TOKENS_PER_STEP = 8192
MODELS = {COUNT: ("tiny", 2), LENGTH: ("minimind", 4)}
"""Shape and layers: small where the rows are to tell, less so where the attention is."""
COLUMNS = (
    Column[Cost]("CPU us / token", lambda row: row.cpu_microseconds, ".1f"),
    Column[Cost]("wall us / token", lambda row: row.microseconds, ".1f"),
    Column[Cost]("own memory MB", lambda row: row.own_bytes / 1e6, ".0f"),
)
PANELS = (
    Panel[Cost]("CPU us / token", lambda row: row.cpu_microseconds),
    Panel[Cost]("own memory MB", lambda row: row.own_bytes / 1e6),
)


@click.command()
@click.option("--count", "counts", multiple=True, type=int, default=COUNTS, show_default=True)
@click.option("--length", "lengths", multiple=True, type=int, default=LENGTHS, show_default=True)
@click.option("--steps", default=40, show_default=True, help="Of every run.")
@click.option(
    "--rounds",
    default=3,
    type=click.IntRange(min=1),
    show_default=True,
    help="Runs of each, taken in turn.",
)
@click.option("--threads", default=1, show_default=True, help="Threads of a run.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw it here, .svg or .png; two pictures."
)
def main(
    counts: tuple[int, ...],
    lengths: tuple[int, ...],
    steps: int,
    rounds: int,
    threads: int,
    report: Path | None,
    plot: Path | None,
) -> None:
    """Train equally many steps on few and on many kept rows, and on short and on long ones."""
    if steps <= WARMUP:
        raise click.UsageError(f"--steps: the first {WARMUP} are not counted, so take more.")
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        bench = _Bench(Path(scratch), steps, threads)
        found = {
            COUNT: bench.play(COUNT, counts, rounds),
            LENGTH: bench.play(LENGTH, lengths, rounds),
        }
    for over, costs in found.items():
        _show(over, costs, f"{steps} steps, {threads} threads, {rounds} rounds")
        if plot is not None:
            picture = plot.with_stem(f"{plot.stem}-{over.replace(' ', '-')}")
            write_lines(picture, f"Cost over {over}", costs, PANELS, over=over)
    if report is not None:
        told = {over: {n: asdict(c) for n, c in costs.items()} for over, costs in found.items()}
        report.write_text(json.dumps({"steps": steps, "rounds": rounds, **told}, indent=2) + "\n")
    sys.exit(0 if _is_flat(found[COUNT]) else 1)


class _Bench:
    """Runs that differ in their rows only; rows are encoded and kept before any is measured."""

    def __init__(self, folder: Path, steps: int, threads: int) -> None:
        self._folder, self._steps, self._threads = folder, steps, threads
        for shape, layers in MODELS.values():
            build_model(folder / shape, layers=layers, shape=shape)

    def play(self, over: str, sizes: Sequence[int], rounds: int) -> dict[int, Cost]:
        """Every size in turn, round after round, after a run of one step that is not measured."""
        write = {COUNT: self._write_many, LENGTH: self._write_long}[over]
        configs = {size: self._config(over, write(size)) for size in sizes}
        runs: dict[int, list[Metered]] = {size: [] for size in sizes}
        for number in range(rounds + 1):
            for size, config in configs.items():
                steps = self._steps if number else 1
                run = self._run(config, f"{over}-{size}-{number}", steps)
                runs[size] += [run] if number else []
                click.echo(f"round {number}: {over} {size}", err=True)
        return {size: cost_of(each, warmup=WARMUP) for size, each in runs.items()}

    def _run(self, config: Mapping[str, Any], name: str, steps: int) -> Metered:
        config = {**config, "plan": {**config["plan"], "max_steps": steps}}
        folder = self._folder / name
        try:
            return metered(config, folder, self._folder, threads=self._threads)
        finally:
            shutil.rmtree(folder)

    def _write_many(self, count: int) -> tuple[Path, int]:
        path = self._folder / f"{count}-rows.jsonl"
        write_many(path, count, SHAPES[MODELS[COUNT][0]].vocabulary)
        return path, ROWS_PER_STEP

    def _write_long(self, length: int) -> tuple[Path, int]:
        path = self._folder / f"{length}-tokens.jsonl"
        per_step = max(1, TOKENS_PER_STEP // length)
        write_of_length(path, self._steps * per_step, length, SHAPES[MODELS[LENGTH][0]].vocabulary)
        return path, per_step

    def _config(self, over: str, rows: tuple[Path, int]) -> dict[str, Any]:
        path, per_step = rows
        return {
            "run": {"seed": SEED},
            "dataset": {"use": "jsonl", "path": str(path), "eval_fraction": 0},
            "model": {"use": "llama", "path": str(self._folder / MODELS[over][0])},
            "injector": {"use": "custom", "r": RANK, "alpha": ALPHA},
            "trainer": {"use": "ddp"},
            "plan": {"global_batch_size": per_step},
        }


def _show(over: str, costs: Mapping[int, Cost], conditions: str) -> None:
    rows = {f"{size:,} {over}": cost for size, cost in costs.items()}
    reference = costs[min(costs)]
    table = comparison(f"Cost over {over}: {conditions}", rows, COLUMNS, reference=reference)
    Console(width=max(Console().width, 100)).print(table)


def _is_flat(costs: Mapping[int, Cost]) -> bool:
    time, memory = growth(costs)
    flat = max(time, memory) <= ALLOWED
    click.echo(
        f"{'Flat' if flat else 'NOT FLAT'} over {COUNT}: {time:.2f}x the time of a token and "
        f"{memory:.2f}x the memory where there are most (allowed {ALLOWED:g}x)."
    )
    return flat


if __name__ == "__main__":
    main()

"""`python -m benchmarks.kept_prefix`: what reading a kept prefix costs, by how much is kept."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.environment import ROOT, environment
from benchmarks.measure import own_memory
from lorafw.training.prefix.frozen_prefix import digest_of
from lorafw.training.prefix.row_file import RowFile

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
WIDTH, LENGTH, ROWS = 64, 16, 32
"""Of the rows that are kept, the tokens of each, and how many share a micro-batch."""
SHAPE = torch.Size((1, ROWS * LENGTH, WIDTH))
ALLOWED = {"microseconds": 1.5, "own_megabytes": 1.1}
"""Times as much for the most rows as for the fewest."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a token costs to be found and read, and memory without pages of files."""

    microseconds: float
    own_megabytes: float
    file_megabytes: float


@click.command()
@click.option("--count", "counts", multiple=True, type=int, default=COUNTS, show_default=True)
@click.option("--reads", default=2000, show_default=True, help="Micro-batches that are read.")
@click.option("--rounds", default=3, show_default=True, help="Processes of each, in turn.")
def main(counts: tuple[int, ...], reads: int, rounds: int) -> None:
    """Keep few rows and many, read equally many of them, each in a process of its own."""
    found: dict[int, list[Cost]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count, costs in found.items():
            costs.append(_in_a_process(count, reads))
    costs = {count: _median(each) for count, each in found.items()}
    _show(costs, reads)
    sys.exit(0 if _is_flat(costs) else 1)


def _in_a_process(count: int, reads: int) -> Cost:
    with tempfile.TemporaryDirectory(prefix="lorafw-kept-") as place:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.kept_prefix_worker", str(count), str(reads), place],
            cwd=ROOT,
            env=environment(Path(place), threads=1),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(f"{count} rows failed:\n{done.stdout}{done.stderr}")
    return Cost(**json.loads(done.stdout))


def measure(count: int, reads: int, folder: Path) -> Cost:
    """Keep so many rows in this process, and read so many micro-batches of them."""
    rows, chance = torch.ones(SHAPE, dtype=torch.bfloat16), random.Random(0)
    batches = max(1, count // ROWS)
    with RowFile(folder, 0, _refuse) as kept:
        for number in range(batches):
            kept.add(digest_of(_inputs(number)), rows)
        numbers = [chance.randrange(batches) for _ in range(reads)]
        began = time.process_time()
        for inputs in map(_inputs, numbers):
            kept.read(digest_of(inputs), SHAPE).sum()
        seconds = time.process_time() - began
        return Cost(seconds * 1e6 / (reads * SHAPE[1]), own_memory() / 1e6, _size(batches))


def _inputs(number: int) -> Mapping[str, torch.Tensor]:
    """Those of a micro-batch that no other number has."""
    return {"input_ids": torch.arange(SHAPE[1]) + number}


def _size(batches: int) -> float:
    return batches * SHAPE.numel() * torch.bfloat16.itemsize / 1e6


def _refuse(why: str) -> None:
    raise SystemExit(f"not all rows could be kept: {why}")


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(median(values) for values in zip(*map(_values, costs), strict=True)))


def _values(cost: Cost) -> Iterator[float]:
    return iter(asdict(cost).values())


def _show(costs: Mapping[int, Cost], reads: int) -> None:
    title = f"{reads} micro-batches read, medians"
    table = Table("rows kept", "on disk MB", "CPU us / token", "own memory MB", title=title)
    for count, cost in costs.items():
        figures = (f"{cost.file_megabytes:.0f}", f"{cost.microseconds:.3f}")
        table.add_row(f"{count:,}", *figures, f"{cost.own_megabytes:.1f}")
    Console().print(table)


def _is_flat(costs: Mapping[int, Cost]) -> bool:
    least, most = (asdict(costs[count]) for count in (min(costs), max(costs)))
    growth = {name: most[name] / least[name] for name in ALLOWED}
    for name, times in growth.items():
        verdict = "flat" if times <= ALLOWED[name] else "NOT FLAT"
        click.echo(f"{name}: {times:.2f}x where most is kept (allowed {ALLOWED[name]}x): {verdict}")
    return all(growth[name] <= ALLOWED[name] for name in ALLOWED)


if __name__ == "__main__":
    main()

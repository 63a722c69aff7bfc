"""`python -m benchmarks.injectors`: a training step under `custom` beside the same under `peft`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.environment import ROOT, environment

OURS, THEIRS = "custom", "peft"
MEMORY_ALLOWED = 1.02

Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`custom` over `peft`: below 1 it takes less."""

    case: str
    milliseconds: float
    wall: float
    cpu: float
    memory: float

    @property
    def holds(self) -> bool:
        """Whether `custom` is faster, and needs no more memory than allowed."""
        return self.cpu < 1 and self.memory <= MEMORY_ALLOWED


@click.command()
@click.option("--rank", "ranks", multiple=True, type=int, default=(4, 16, 64), show_default=True)
@click.option(
    "--length", "lengths", multiple=True, type=int, default=(128, 512, 2048), show_default=True
)
@click.option("--steps", default=15, show_default=True, help="Timed steps of each.")
@click.option("--threads", default=1, show_default=True, help="Threads of a process.")
@click.option("--dora", is_flag=True, help="Train DoRA instead of LoRA.")
@click.option("--fp32/--no-fp32", default=True, help="Also one case on an fp32 base.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
def main(
    ranks: tuple[int, ...],
    lengths: tuple[int, ...],
    steps: int,
    threads: int,
    dora: bool,
    fp32: bool,
    report: Path | None,
) -> None:
    """Time the same steps under both injectors, in turn; measure each one's memory by itself."""
    cases = [(rank, length, "bf16") for rank, length in product(ranks, lengths)]
    cases += [(ranks[len(ranks) // 2], lengths[len(lengths) // 2], "fp32")] if fp32 else []
    ratios = []
    for rank, length, dtype in cases:
        case = {"rank": rank, "length": length, "dtype": dtype, "options": {"use_dora": dora}}
        ratios.append(_compared(case, steps, threads))
        click.echo(f"{ratios[-1].case}: {', '.join(_figures(ratios[-1]))}", err=True)
    Console(width=100).print(_table(ratios, f"custom / peft, {steps} steps, {threads} threads"))
    if report is not None:
        report.write_text(json.dumps([asdict(ratio) for ratio in ratios], indent=2) + "\n")
    sys.exit(0 if all(ratio.holds for ratio in ratios) else 1)


def _compared(case: dict[str, Any], steps: int, threads: int) -> Ratio:
    """Time from one process in which both take turns, memory from one process each."""
    timed = _worker({**case, "injectors": [THEIRS, OURS], "steps": steps}, threads)
    alone = {
        name: _worker({**case, "injectors": [name], "steps": 2}, threads)[name]
        for name in (THEIRS, OURS)
    }
    ours, theirs = timed[OURS], timed[THEIRS]
    return Ratio(
        case=f"{case['dtype']}, rank {case['rank']}, length {case['length']}",
        milliseconds=1000 * ours["seconds"],
        wall=ours["seconds"] / theirs["seconds"],
        cpu=ours["cpu_seconds"] / theirs["cpu_seconds"],
        memory=alone[OURS]["bytes"] / alone[THEIRS]["bytes"],
    )


def _worker(case: dict[str, Any], threads: int) -> Costs:
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as place:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.injector_step", json.dumps(case)],
            cwd=ROOT,
            env=environment(Path(place), threads=threads),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise click.ClickException(f"{case} failed:\n{done.stderr}")
    costs: Costs = json.loads(done.stdout)
    return costs


def _table(ratios: Sequence[Ratio], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("case")
    for heading in ("ms per step", "wall", "CPU", "memory of the step", "holds"):
        table.add_column(heading, justify="right")
    for ratio in ratios:
        told = "yes" if ratio.holds else "NO"
        table.add_row(ratio.case, f"{ratio.milliseconds:.1f}", *_figures(ratio), told)
    return table


def _figures(ratio: Ratio) -> list[str]:
    return [f"{each:.3f}x" for each in (ratio.wall, ratio.cpu, ratio.memory)]


if __name__ == "__main__":
    main()

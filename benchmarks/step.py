"""`python -m benchmarks.step`: the same training steps by lorafw, HF Trainer and TRL."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.contestants import CONTESTANTS
from benchmarks.job import Job
from benchmarks.model import build_adapter, build_model
from benchmarks.rounds import play
from benchmarks.shapes import SHAPES, USUAL
from benchmarks.shared_files import GSM8K, place
from benchmarks.step_report import Report

ROWS = ("lognormal", "gsm8k")
COUNT = click.IntRange(min=1)


@click.command()
@click.option("--shape", type=click.Choice(list(SHAPES)), default=USUAL, show_default=True)
@click.option("--layers", type=COUNT, help="Layers of the model; all that the shape has.")
@click.option("--rows", type=click.Choice(ROWS), default=ROWS[0], show_default=True)
@click.option("--gsm8k", type=click.Path(path_type=Path), help="GSM8K's train.jsonl.")
@click.option("--steps", default=6, type=COUNT, show_default=True, help="Timed steps of each run.")
@click.option("--warmup", default=2, type=COUNT, show_default=True, help="Steps before them.")
@click.option(
    "--rounds", default=3, type=COUNT, show_default=True, help="Runs of each, taken in turn."
)
@click.option("--threads", default=os.cpu_count(), show_default=True, help="Threads of a run.")
@click.option("--seed", default=0, show_default=True, help="Of the rows.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Constant.")
@click.option(
    "--contestant",
    "names",
    multiple=True,
    type=click.Choice(list(CONTESTANTS)),
    help="Who takes part; repeatable; all by default.",
)
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write it here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it here: .svg or .png.")
@click.option("--floors", is_flag=True, help="Fail where lorafw is not as fast as it must be.")
def main(
    shape: str,
    layers: int | None,
    rows: str,
    gsm8k: Path | None,
    steps: int,
    warmup: int,
    rounds: int,
    threads: int,
    seed: int,
    learning_rate: float,
    names: tuple[str, ...],
    report: Path | None,
    plot: Path | None,
    floors: bool,
) -> None:
    """Time the same rows, model, adapter and update in every contestant."""
    source = str(place(gsm8k, GSM8K, "--gsm8k").resolve()) if rows == "gsm8k" else ""
    taking_part, layers = _taking_part(names), layers or SHAPES[shape].layers
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as scratch:
        folder = Path(scratch)
        job = Job(
            model=str(folder / "model"),
            adapter=str(folder / "adapter"),
            workdir="",
            shape=shape,
            layers=layers,
            gsm8k=source,
            warmup=warmup,
            steps=steps,
            seed=seed,
            threads=threads,
            learning_rate=learning_rate,
        )
        build_model(folder / "model", layers=layers, shape=shape)
        build_adapter(folder / "model", folder / "adapter")
        outcomes = play(job, taking_part, rounds, folder)
    title = (
        f"{SHAPES[shape].title}: {layers} layers, {rows} rows, {steps} steps, "
        f"{threads} threads, {rounds} rounds"
    )
    found = Report(outcomes, job, title)
    if report is not None:
        found.write(report)
    if plot is not None:
        found.draw(plot)
    sys.exit(0 if _show(found, floors=floors) else 1)


def _taking_part(names: Sequence[str]) -> list[str]:
    """Who was asked for; otherwise all that this installation has."""
    for name in names:
        if not CONTESTANTS[name].there():
            raise click.UsageError(f"{name} needs something that is not installed here.")
    return [name for name in CONTESTANTS if name in names or (not names and _is_there(name))]


def _is_there(name: str) -> bool:
    there = CONTESTANTS[name].there()
    if not there:
        click.echo(f"{name} is left out: this installation does not have it.", err=True)
    return there


def _show(report: Report, *, floors: bool) -> bool:
    """Print everything; whether all losses agree and, if they count, all demands are met."""
    console = Console(width=max(Console().width, 150))
    console.print(report.table())
    console.print(report.losses())
    verdicts, demands = report.verdicts(), report.demands()
    told = [report.floor(), *(told for _, told in verdicts), *(each.told for each in demands)]
    console.print("\n".join(sentence for sentence in (*told, *report.beside()) if sentence))
    agree = all(agree for agree, _ in verdicts)
    return agree and not (floors and not all(each.holds for each in demands))


if __name__ == "__main__":
    main()

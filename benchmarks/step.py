"""`python -m benchmarks.step`: the same training steps by lorafw, HF Trainer and TRL."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console

from benchmarks.contestants import CONTESTANTS, REFERENCE
from benchmarks.environment import ROOT, environment
from benchmarks.job import Job, Outcome
from benchmarks.model import LAYERS, build_adapter, build_model
from benchmarks.summary import Figures, summarise, verdict
from benchmarks.table import Column, comparison

PACKAGES = ("lorafw", "torch", "transformers", "peft", "trl")
COLUMNS = (
    Column[Figures]("tokens/s", lambda row: row.tokens_per_second, ".0f"),
    Column[Figures]("CPU s / 1k tokens", lambda row: row.cpu_seconds_per_kilotoken, ".2f"),
    Column[Figures]("peak GB", lambda row: row.peak_bytes / 1e9, ".2f"),
    Column[Figures]("first loss", lambda row: row.first_loss, ".4f", ratio=False),
    Column[Figures]("last loss", lambda row: row.last_loss, ".4f", ratio=False),
)

Outcomes = Mapping[str, Sequence[Outcome]]


@click.command()
@click.option("--steps", default=6, show_default=True, help="Timed steps, after one to warm up.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each, taken in turn.")
@click.option("--layers", default=LAYERS, show_default=True, help="Layers of the model.")
@click.option("--threads", default=os.cpu_count(), show_default=True, help="Threads of a process.")
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
def main(
    steps: int,
    rounds: int,
    layers: int,
    threads: int,
    seed: int,
    learning_rate: float,
    names: tuple[str, ...],
    report: Path | None,
) -> None:
    """Time the same rows, model, adapter and update in every contestant."""
    names = names or tuple(CONTESTANTS)
    with tempfile.TemporaryDirectory(prefix="lorafw-benchmark-") as place:
        folder = Path(place)
        build_model(folder / "model", layers=layers)
        build_adapter(folder / "model", folder / "adapter")
        job = Job(
            str(folder / "model"), str(folder / "adapter"), "", steps, seed, threads, learning_rate
        )
        outcomes = _play(job, names, rounds, folder)
    agree = _show(outcomes, f"{steps} steps, {layers} layers, {threads} threads, {rounds} rounds")
    if report is not None:
        conditions = {**asdict(job), "layers": layers, "rounds": rounds, **_machine()}
        _write(report, outcomes, conditions)
    sys.exit(0 if agree else 1)


def _play(job: Job, names: Sequence[str], rounds: int, folder: Path) -> Outcomes:
    """Every round runs every contestant once, so that a busy hour hits all of them."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            workdir = folder / f"{number}-{name}"
            outcomes[name].append(_run(job, name, workdir))
            seconds = outcomes[name][-1].seconds
            click.echo(f"round {number + 1}: {name}: {seconds:.1f} s", err=True)
    return outcomes


def _run(job: Job, name: str, workdir: Path) -> Outcome:
    """One contestant in a process of its own; what it prints is shown only if it fails."""
    workdir.mkdir()
    own = Job(**{**asdict(job), "workdir": str(workdir)})
    given, result = workdir / "job.json", workdir / "outcome.json"
    own.write(given)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.contestants", name, str(given), str(result)],
        cwd=ROOT,
        env=environment(workdir.parent, threads=job.threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{name} failed:\n{done.stdout}{done.stderr}")
    return Outcome.read(result)


def _show(outcomes: Outcomes, title: str) -> bool:
    """Print the table and the verdict; whether all losses agree."""
    figures = {name: summarise(each) for name, each in outcomes.items()}
    rows = {_label(name): row for name, row in figures.items()}
    console = Console(width=max(Console().width, 132))
    console.print(comparison(title, rows, COLUMNS, reference=figures.get(REFERENCE)))
    first = {name: row.first_loss for name, row in figures.items()}
    last = {n: row.last_loss for n, row in figures.items() if not CONTESTANTS[n].by_length}
    verdicts = [verdict("First losses", first)]
    if last:
        verdicts.append(verdict("Last losses (same rows in every step)", last))
    for _, sentence in verdicts:
        console.print(sentence)
    return all(agree for agree, _ in verdicts)


def _label(name: str) -> str:
    contestant = CONTESTANTS[name]
    return f"{contestant.label}\n  {contestant.note}"


def _machine() -> dict[str, object]:
    return {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def _write(path: Path, outcomes: Outcomes, conditions: Mapping[str, object]) -> None:
    contestants = {
        name: {
            **asdict(summarise(each)),
            "rounds": [asdict(outcome) for outcome in each],
        }
        for name, each in outcomes.items()
    }
    report = {"conditions": conditions, "contestants": contestants}
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

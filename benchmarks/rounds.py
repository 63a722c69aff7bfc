"""Runs of contestants in processes of their own, in turn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.environment import ROOT, environment
from benchmarks.job import Job, Outcome

Outcomes = Mapping[str, Sequence[Outcome]]
"""A contestant's runs, one per round, by its name."""


def play(job: Job, names: Sequence[str], rounds: int, folder: Path) -> Outcomes:
    """Every round runs every contestant once, so that a busy hour hits all of them."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            outcomes[name].append(_run(job, name, folder / f"{number}-{name}"))
            told = outcomes[name][-1]
            click.echo(
                f"round {number + 1}: {name}: {told.seconds:.1f} s, CPU {told.cpu_seconds:.1f} s",
                err=True,
            )
    return outcomes


def _run(job: Job, name: str, workdir: Path) -> Outcome:
    """One contestant in a process of its own; what it prints is shown only if it fails."""
    workdir.mkdir()
    given, result = workdir / "job.json", workdir / "outcome.json"
    replace(job, workdir=str(workdir)).write(given)
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

"""`lorafw run`: fine-tune a model as a config and flags say."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lorafw.assembly.compose import compose
from lorafw.assembly.config import RunConfig, resolved
from lorafw.assembly.registry import Registry
from lorafw.assembly.yaml_source import dump_yaml
from lorafw.cli.flags import ConfigFlags, config_flags

if TYPE_CHECKING:
    from lorafw.pipeline import RunResult


@click.command()
@config_flags
@click.option("--resume", is_flag=True, help="Continue from the newest checkpoint of this run.")
@click.option(
    "--dry-run", is_flag=True, help="Print the whole config and what would run, and stop."
)
@click.option(
    "--nproc",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
def run(flags: ConfigFlags, *, resume: bool, dry_run: bool, nproc: int) -> None:
    """Fine-tune a model as a config and flags say.

    Later ones win: defaults of the parts, the config file, flags, -o.
    """
    registry = Registry()
    config = flags.read(registry)
    if dry_run:
        _rehearse(config, registry, nproc)
        return
    from lorafw import pipeline

    result = pipeline.run(config, resume=resume, nproc=nproc)
    if _speaks():
        _report(result)


def _rehearse(config: RunConfig, registry: Registry, nproc: int) -> None:
    parts = compose(config, registry)
    click.echo(dump_yaml(resolved(config, parts)), nl=False)
    for notice in config.notices:
        click.echo(f"Notice: {notice}", err=True)
    names = parts.names
    processes = "1 process" if nproc == 1 else f"{nproc} processes"
    click.echo(
        f"Would train {names['model']} on {names['dataset']} with {names['injector']}, "
        f"by {names['trainer']} in {processes}, then export: {', '.join(names['exporters'])}.",
        err=True,
    )


def _speaks() -> bool:
    """One process of a run tells its result: the one the user started, or else rank 0."""
    from lorafw.training.launch import is_worker

    return not is_worker() and os.environ.get("RANK", "0") == "0"


def _report(result: RunResult) -> None:
    if result.adapter is not None:
        click.echo(f"Adapter: {result.adapter}")
    if change := _change(result.evaluation_before, result.evaluation):
        click.echo(f"Held-out loss: {change}")
    click.echo(f'Talk to it: lorafw generate {_quoted(result.folder)} --prompt "..."')


def _change(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    if "loss" not in after:
        return ""
    return " -> ".join(f"{figures['loss']:.4f}" for figures in (before, after) if "loss" in figures)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

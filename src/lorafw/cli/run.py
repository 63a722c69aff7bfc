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
from lorafw.cli.rank_flags import RankFlags, rank_flags
from lorafw.training.checkpoints.fingerprint import ACCEPTABLE

if TYPE_CHECKING:
    from lorafw.pipeline import RunResult


@click.command()
@config_flags
@click.option("--resume", is_flag=True, help="Continue from the newest checkpoint of this run.")
@click.option(
    "--accept-changed",
    metavar="PART",
    multiple=True,
    help=f"With --resume: continue although this part of the run has changed "
    f"({', '.join(ACCEPTABLE)}); repeatable.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the config, what would run and what it takes, and stop."
)
@rank_flags
def run(
    flags: ConfigFlags,
    *,
    resume: bool,
    accept_changed: tuple[str, ...],
    dry_run: bool,
    ranks: RankFlags,
) -> None:
    """Fine-tune a model as a config and flags say.

    Later ones win: defaults of the parts, the config file, flags, -o.
    """
    registry = Registry()
    config, given = flags.read(registry), ranks.ranks()
    if dry_run:
        _rehearse(config, registry, ranks)
        return
    from lorafw import pipeline

    result = pipeline.run(config, resume=resume, accept_changed=accept_changed, ranks=given)
    if given.node == 0 and _speaks():
        _report(result)


def _rehearse(config: RunConfig, registry: Registry, flags: RankFlags) -> None:
    parts = compose(config, registry)
    click.echo(dump_yaml(resolved(config, parts)), nl=False)
    for notice in config.notices:
        click.echo(f"Notice: {notice}", err=True)
    names = parts.names
    ranks = flags.ranks()
    processes = "1 process" if ranks.nproc == 1 else f"{ranks.nproc} processes"
    if ranks.nodes > 1:
        processes += f" on this machine, node {ranks.node} of {ranks.nodes}"
    click.echo(
        f"Would train {names['model']} on {names['dataset']} with {names['injector']}, "
        f"by {names['trainer']} in {processes}, then export: {', '.join(names['exporters'])}.",
        err=True,
    )
    for host, command in flags.commands():
        click.echo(f"On {host}: {command}", err=True)
    if parts.model.builds_without_weights:
        _tell_plan(config, ranks.nproc * ranks.nodes)


def _tell_plan(config: RunConfig, world_size: int) -> None:
    from lorafw.cli.plan_text import lines
    from lorafw.planning.planner import plan

    click.echo("\n".join(lines(plan(config, nproc=world_size))), err=True)


def _speaks() -> bool:
    """One process of a run tells its result: the one the user started, or else rank 0."""
    from lorafw.training.launching import is_worker

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

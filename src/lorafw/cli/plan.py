"""`lorafw plan`: what a run will take, before it runs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from lorafw.assembly.registry import Registry
from lorafw.cli.flags import ConfigFlags, config_flags

if TYPE_CHECKING:
    from lorafw.planning.planner import RunPlan

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


class Bytes(click.ParamType[int]):
    """A number of bytes, such as 16G or 24GiB."""

    name = "bytes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number that is written."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", str(value).lower())
        if found is None or found[2] not in _UNITS:
            self.fail(f"{value!r} is no number of bytes such as 16G or 24GiB", param, ctx)
        return int(float(found[1]) * _UNITS[found[2]])


@click.command()
@config_flags
@click.option(
    "--nproc",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
@click.option(
    "--memory",
    metavar="BYTES",
    type=Bytes(),
    help="What a process may take, such as 16G; by default its share of what is free here.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Load the weights and train for ten seconds, to tell the time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    flags: ConfigFlags, *, nproc: int, memory: int | None, calibrate: bool, as_json: bool
) -> None:
    """Tell how much memory, how many steps and how long a run takes, without running it.

    Rows are encoded; weights are not read.
    """
    from lorafw.cli.plan_text import lines
    from lorafw.planning.planner import plan as make

    found: RunPlan = make(flags.read(Registry()), nproc=nproc, memory=memory, calibrate=calibrate)
    click.echo(json.dumps(found.record(), indent=2) if as_json else "\n".join(lines(found)))

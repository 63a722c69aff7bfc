"""The flags that say how many ranks a run has, and where."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lorafw.errors import UsageError
from lorafw.training.launching.hostfile import Host, own_place, read_hostfile
from lorafw.training.launching.ranks import PORT, STOP_SECONDS, Ranks, parse_nodes


@dataclass(frozen=True, slots=True)
class RankFlags:
    """What the user said of ranks on the command line; None where nothing was said."""

    nproc: int | None
    nnodes: str | None
    node_rank: int | None
    rdzv_endpoint: str | None
    hostfile: Path | None
    max_restarts: int
    min_nproc: int | None
    stop_timeout: float

    def ranks(self) -> Ranks:
        """The ranks of this machine among the others.

        Raises:
            UsageError: something is missing, or contradicts itself.
        """
        hosts = self.hosts()
        fewest, nodes = parse_nodes(self.nnodes) if self.nnodes else (None, len(hosts) or 1)
        if hosts and nodes != len(hosts):
            raise UsageError(
                f"{nodes} nodes, but {self.hostfile} names {len(hosts)}.", where="--nnodes"
            )
        node = self._node(hosts, nodes)
        slots = hosts[node].slots if node < len(hosts) else 1
        return Ranks(
            nproc=self.nproc or slots,
            nodes=nodes,
            min_nodes=fewest,
            node=node,
            endpoint=self.rdzv_endpoint or (f"{hosts[0].name}:{PORT}" if hosts else ""),
            max_restarts=self.max_restarts,
            min_nproc=self.min_nproc,
            stop_timeout=self.stop_timeout,
        )

    def hosts(self) -> list[Host]:
        """The hosts of the host file; none without one."""
        return [] if self.hostfile is None else read_hostfile(self.hostfile)

    def _node(self, hosts: list[Host], nodes: int) -> int:
        if self.node_rank is not None or nodes == 1:
            return self.node_rank or 0
        place = own_place(hosts)
        if place is None:
            numbers = ", ".join(f"{host.name} {number}" for number, host in enumerate(hosts))
            raise UsageError(
                f"this machine is not found in {self.hostfile}."
                if hosts
                else "which of the nodes is this machine?",
                where="--node-rank",
                mend=f"Give its number ({numbers or f'0 to {nodes - 1}'}); node 0 keeps the run.",
            )
        return place

    def commands(self) -> list[tuple[str, str]]:
        """What to type on each host of the host file."""
        words = [word for word in sys.argv[1:] if word != "--dry-run"]
        return [
            (host.name, shlex.join(["lorafw", *words, "--node-rank", str(number)]))
            for number, host in enumerate(self.hosts())
        ]


def rank_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of ranks; it receives them as one `ranks: RankFlags`."""

    @wraps(command)
    def with_flags(**given: Any) -> None:
        own = {field.name: given.pop(field.name) for field in fields(RankFlags)}
        command(ranks=RankFlags(**own), **given)

    for option in reversed(_options()):
        option(with_flags)
    return with_flags


def _options() -> list[Callable[[Any], Any]]:
    count, path = click.IntRange(min=1), click.Path(path_type=Path)
    return [
        click.option("--nproc", metavar="N", type=count, help="Ranks on this machine; 1."),
        click.option(
            "--nnodes",
            metavar="N|MIN:MAX",
            help="Machines; lorafw is started on each. MIN are enough after a failure.",
        ),
        click.option(
            "--node-rank",
            metavar="N",
            type=click.IntRange(min=0),
            help="This machine's number; machine 0 keeps the run's folder.",
        ),
        click.option("--rdzv-endpoint", metavar="HOST:PORT", help="Of machine 0, on every one."),
        click.option(
            "--hostfile",
            metavar="FILE",
            type=path,
            help="Machines and their ranks, a `host slots=N` on each line.",
        ),
        click.option(
            "--max-restarts",
            metavar="N",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Go on from the last checkpoint so often after a rank has failed.",
        ),
        click.option(
            "--min-nproc",
            metavar="N",
            type=count,
            help="Go on without ranks of this machine that were killed, as long as N are left.",
        ),
        click.option(
            "--stop-timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0),
            default=STOP_SECONDS,
            show_default=True,
            help="How long ranks may take to write a checkpoint when asked to stop.",
        ),
    ]

"""Ranks: how many processes a run is given, on which machines, and what follows a failure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lorafw.errors import UsageError

PORT = 29500
"""Where nodes meet if no port is given; torchrun's choice."""
STOP_SECONDS = 90.0
"""How long ranks may take for the step at hand and a checkpoint."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a run.

    Attributes:
        nproc: ranks on this machine.
        nodes: machines that take part.
        min_nodes: as few of them are enough after some were lost; None stands for all.
        node: this machine's number; the run's folder is on machine 0.
        endpoint: `HOST:PORT` of machine 0, where the nodes meet.
        max_restarts: how often to go on from the last checkpoint after a failure.
        min_nproc: as few ranks on this machine are enough after some were killed; None: `nproc`.
        stop_timeout: seconds that ranks are given to write a checkpoint when asked to stop.
    """

    nproc: int = 1
    nodes: int = 1
    min_nodes: int | None = None
    node: int = 0
    endpoint: str = ""
    max_restarts: int = 0
    min_nproc: int | None = None
    stop_timeout: float = STOP_SECONDS

    def __post_init__(self) -> None:
        self._check_nodes()
        if not 1 <= self.fewest <= self.nproc:
            raise UsageError(
                f"at least {self.min_nproc} of {self.nproc} ranks cannot be.",
                where="--min-nproc",
                mend="Give a number from 1 to that of --nproc.",
            )

    def _check_nodes(self) -> None:
        if not 1 <= self.fewest_nodes <= self.nodes:
            raise UsageError(
                f"from {self.min_nodes} to {self.nodes} nodes cannot be.", where="--nnodes"
            )
        if not 0 <= self.node < self.nodes:
            raise UsageError(
                f"there is no node {self.node} among {self.nodes}.",
                where="--node-rank",
                mend=f"Nodes are counted from 0 to {self.nodes - 1}.",
            )
        if self.nodes > 1 and not self.endpoint:
            raise UsageError(
                "several nodes need a place to meet.",
                where="--rdzv-endpoint",
                mend="Give HOST:PORT of node 0, the same on every node.",
            )
        _ = self.address

    @property
    def fewest(self) -> int:
        """Ranks on this machine that are enough."""
        return self.nproc if self.min_nproc is None else self.min_nproc

    @property
    def fewest_nodes(self) -> int:
        """Nodes that are enough."""
        return self.nodes if self.min_nodes is None else self.min_nodes

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where the nodes meet; any free port if there is one node only."""
        if self.nodes == 1:
            return "127.0.0.1", 0
        host, colon, port = self.endpoint.rpartition(":")
        if not colon or self.endpoint.endswith("]"):
            host, port = self.endpoint, str(PORT)
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(f"'{self.endpoint}' is not HOST:PORT.", where="--rdzv-endpoint")
        return host.strip("[]"), int(port)

    @property
    def watched(self) -> bool:
        """Whether a process has to start the ranks and watch them."""
        return self.nproc > 1 or self.nodes > 1 or self.max_restarts > 0


def parse_nodes(text: str) -> tuple[int, int]:
    """Fewest and most nodes from `N` or `MIN:MAX`.

    >>> parse_nodes("2:4")
    (2, 4)
    """
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if found is None:
        raise UsageError(f"'{text}' is neither N nor MIN:MAX.", where="--nnodes")
    return int(found[1]), int(found[2] or found[1])

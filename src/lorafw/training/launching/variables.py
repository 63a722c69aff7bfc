"""The environment that ranks of lorafw's own launcher find, laid out as torchrun's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from lorafw.training.launching.cores import shared_among
from lorafw.training.launching.environment import WORKER
from lorafw.training.launching.meeting import Place
from lorafw.training.launching.worker import LAUNCHER


def environments(
    place: Place, node: int, nproc: int, attempt: int, address: tuple[str, int]
) -> list[dict[str, str]]:
    """Variables of each rank of this machine.

    Args:
        place: of this machine in the attempt.
        node: this machine's number.
        nproc: its ranks.
        attempt: counted from zero.
        address: host and port of the launchers' store.
    """
    shared = {
        "WORLD_SIZE": str(place.world_size),
        "LOCAL_WORLD_SIZE": str(nproc),
        "GROUP_RANK": str(place.nodes.index(node)),
        "GROUP_WORLD_SIZE": str(len(place.nodes)),
        "MASTER_ADDR": address[0],
        "MASTER_PORT": str(address[1]),
        # Torch's names for: the launcher keeps the store, and this is its so-manieth use.
        "TORCHELASTIC_RUN_ID": "lorafw",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # a lost peer would be told of three times over
        **_threads(os.environ, nproc),
        WORKER: "1",
        LAUNCHER: str(os.getpid()),
    }
    return [
        {**shared, "RANK": str(place.first_rank + local), "LOCAL_RANK": str(local)}
        for local in range(nproc)
    ]


def _threads(environment: Mapping[str, str], nproc: int) -> dict[str, str]:
    """Ranks share the cores, unless the user says otherwise."""
    if "OMP_NUM_THREADS" in environment:
        return {}
    return {"OMP_NUM_THREADS": str(shared_among(nproc))}

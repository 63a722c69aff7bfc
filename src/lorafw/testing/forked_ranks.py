"""Ranks of this machine, forked from a process that has imported what each would import first."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

IMPORTED = [
    "lorafw._work",
    "lorafw.models.transformers_bundle",
    "lorafw.testing.giving_up",
    "lorafw.testing.toy_training",
    "lorafw.training.engine_runner",
    "torch._dynamo",
    "torch.distributed.nn",
    "torch.nn.parallel",
    "transformers.models.llama.modeling_llama",
]
"""What ranks find imported; more may be added until the first of them starts.

Importing costs a rank some five seconds of a core, most of what a small training takes.
"""


_TO_TELL = 5.0
"""Seconds that the others have, once a rank has failed, to say what they know of it."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What every rank does, and where it tells of it."""

    folder: str
    module: str
    arguments: list[str]
    log: str


def run_on_ranks(
    count: int,
    module: str,
    arguments: Sequence[str],
    *,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 300.0,
) -> None:
    """Run a module as `python -m` would, as every rank of a job, and wait for its end.

    Args:
        count: of the ranks.
        module: what runs; its `__main__` part is run.
        arguments: what it finds in `sys.argv[1:]`.
        log: file that takes what the ranks print.
        folder: where they run; modules are looked for there first.
        environment: variables besides those of this process and those that say who a rank is.
        seconds: how long they may take.

    Raises:
        AssertionError: a rank failed, or took too long; the others were ended.
    """
    shared = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    work = _Work(str(folder or Path.cwd()), module, list(arguments), str(log))
    processes = [_started({**shared, **place}, work) for place in _places(count)]
    _wait(processes, time.monotonic() + seconds)
    codes = [process.exitcode for process in processes]
    told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    assert not any(codes), f"a rank failed, exit codes {codes}:\n{told[-8000:]}"


def _wait(processes: Sequence[ForkServerProcess], deadline: float) -> None:
    """Until all have ended, one has failed, or it is too late; who is left then is killed."""
    while any(process.is_alive() for process in processes) and time.monotonic() < deadline:
        if any(process.exitcode for process in processes):
            deadline = min(deadline, time.monotonic() + _TO_TELL)
        time.sleep(0.02)
    for process in processes:
        process.kill()
        process.join()


def _places(count: int) -> list[dict[str, str]]:
    """The variables that tell each rank who it is; one that is alone is told nothing."""
    if count == 1:
        return [{}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    job |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    return [{**job, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def _started(environment: Mapping[str, str], work: _Work) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)  # heeded when the first of all ranks starts
    process = context.Process(target=_be_rank, args=(dict(environment), work), daemon=True)
    process.start()
    return process


def _be_rank(environment: dict[str, str], work: _Work) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(work.folder)
    sys.path.insert(0, work.folder)
    told = os.open(work.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(told, descriptor)
    sys.argv = [work.module, *work.arguments]
    try:
        runpy.run_module(work.module, run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

"""The ranks of a comparison as processes: started, waited for, and ended with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lorafw.training.launching.cores import shared_among
from lorafw.verification.assignment import FAILURE

_WORKER = "lorafw.verification.worker"
_GLANCE_SECONDS = 0.05
_SETTLE_SECONDS = 10.0
"""How long ranks may take to end by themselves after one has failed."""
_LAST_CHARACTERS = 2000
"""As much of what a rank wrote is looked at for the reason of a silent failure."""

Process = subprocess.Popen[bytes]


def work(folder: Path, ranks: int) -> str:
    """Let so many ranks do what the folder's task says.

    Returns:
        Why they failed, in one line; empty if they did not.
    """
    (folder / FAILURE).unlink(missing_ok=True)
    with _started(folder, ranks) as processes:
        while any(process.poll() is None for process in processes) and not _failed(processes):
            time.sleep(_GLANCE_SECONDS)
        failed = _failed(processes)
        if failed:
            _settle(processes)
    return _fault(folder, *failed[0]) if failed else ""


def _failed(processes: Sequence[Process]) -> list[tuple[int, int]]:
    """The ranks that have failed by now, with their exit codes."""
    codes = [process.poll() for process in processes]
    return [(rank, code) for rank, code in enumerate(codes) if code]


@contextmanager
def _started(folder: Path, ranks: int) -> Iterator[list[Process]]:
    """Processes that none outlives this block."""
    processes: list[Process] = []
    variables = _variables(ranks)
    with ExitStack() as stack:
        try:
            for rank in range(ranks):
                log = stack.enter_context(_log(folder, rank).open("wb"))
                mine = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}
                command = [sys.executable, "-m", _WORKER, str(folder)]
                processes.append(
                    subprocess.Popen(  # noqa: S603 - ourselves
                        command,
                        stdout=log,
                        stderr=log,
                        env={**os.environ, **variables, **mine},
                        start_new_session=True,
                    )
                )
            yield processes
        finally:
            _kill(processes)


def _variables(ranks: int) -> dict[str, str]:
    """What every rank finds in its environment; a lone one is told of no others."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(shared_among(ranks))
    shared = {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
    if ranks == 1:
        return shared
    return {
        **shared,
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _settle(processes: Sequence[Process]) -> None:
    end = time.monotonic() + _SETTLE_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < end:
        time.sleep(_GLANCE_SECONDS)


def _kill(processes: Sequence[Process]) -> None:
    for process in processes:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(folder: Path, rank: int) -> Path:
    return folder / f"log-{rank}.txt"


def _fault(folder: Path, rank: int, code: int) -> str:
    """What the first rank to fail said, or else the last words of one that said nothing."""
    told = folder / FAILURE
    if told.exists():
        return told.read_text(encoding="utf-8")
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left exit code {code}"
    text = _log(folder, rank).read_text(encoding="utf-8", errors="replace")[-_LAST_CHARACTERS:]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"rank {rank} {ended}" + (f": {lines[-1]}" if lines else "")

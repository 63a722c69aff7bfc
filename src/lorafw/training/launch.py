"""Starting several processes of the same run, and hearing why one of them failed."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lorafw.errors import LorafwError, TrainingError

_WORKER = "LORAFW_WORKER"
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1


def is_worker() -> bool:
    """Whether this process was started by `launch`."""
    return _WORKER in os.environ


def under_launcher() -> bool:
    """Whether some launcher (ours, torchrun, accelerate, deepspeed) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(arguments: Sequence[str], nproc: int) -> None:
    """Run `python -m lorafw ARGUMENTS` on `nproc` ranks of this machine and wait for them.

    Torch's elastic agent runs inside this process: one failing rank ends the others, and its
    error comes back as one line.

    Raises:
        LorafwError: the first error of a rank, with that rank's exit code.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import launch_agent

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // nproc)))
    os.environ[_WORKER] = "1"
    try:
        with tempfile.TemporaryDirectory() as logs:  # where ranks leave their errors
            config = _launch_config(nproc, DefaultLogsSpecs(log_dir=logs))
            _wait_for(lambda: launch_agent(config, sys.executable, ["-m", "lorafw", *arguments]))
    finally:
        del os.environ[_WORKER]


def _launch_config(nproc: int, logs: Any) -> Any:
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=nproc,
        run_id="lorafw",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        logs_specs=logs,
    )


def _wait_for(agent: Callable[[], object]) -> None:
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        agent()
    except ChildFailedError as error:
        raise _failure(error) from None
    except SignalException as error:
        raise SystemExit(128 + int(error.sigval)) from None


def _failure(error: object) -> LorafwError:
    rank, failure = error.get_first_failure()  # type: ignore[attr-defined]
    message = failure.message
    text = message.get("message", "") if isinstance(message, dict) else str(message)
    told = Path(failure.error_file).is_file() if failure.error_file != "<N/A>" else False
    reason = text if told else f"it ended with exit code {failure.exitcode}"
    mended = TrainingError(f"rank {rank} failed: {reason}")
    mended.exit_code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return mended


def follow_parent() -> None:
    """End with the launcher, even if it is killed (Linux; elsewhere ranks time out)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def report_failure(error: BaseException) -> None:
    """Leave the error where the launcher looks for it."""
    place = os.environ.get(_ERROR_FILE)
    if place:
        extra = {"py_callstack": "", "timestamp": str(int(time.time()))}
        about = {"message": {"message": str(error), "extraInfo": extra}}
        Path(place).write_text(json.dumps(about), encoding="utf-8")

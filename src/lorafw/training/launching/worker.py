"""A rank's side of being launched: it ends with its launcher, and tells it why it failed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorafw.errors import Interrupted, LorafwError, UsageError
from lorafw.training.launching.contact import LostContact, lost_contact
from lorafw.training.launching.environment import is_worker
from lorafw.training.launching.failure import Failure, write_report

REPORT = "LORAFW_REPORT"
"""Path of the file in which a rank leaves its failure."""
NOTICES = "LORAFW_NOTICES"
"""Sentences, as a JSON list, that rank 0 is to tell."""
LAUNCHER = "LORAFW_LAUNCHER"
"""The launcher's process id."""
ORPHAN_SECONDS = 20.0
"""How long a rank whose launcher is gone may take for its last checkpoint."""
FAREWELL_SECONDS = 10.0
"""How long a rank that failed may take to leave: backends are known to hang then."""
_PR_SET_PDEATHSIG = 1


def handed_notices() -> list[str]:
    """What the launcher wants told."""
    told: list[str] = json.loads(os.environ.get(NOTICES, "[]")) if is_worker() else []
    return told


@contextmanager
def in_rank() -> Iterator[None]:
    """Surrounds all that a process does in a run.

    In a rank that lorafw launched, errors go to the launcher, which shows the first one; it is
    its end, too. Anywhere else errors pass, those of lost peers under a name of their own.
    """
    if not is_worker():
        with failures_reported():
            yield
        return
    _follow_launcher()
    try:
        with failures_reported():
            yield
    except LorafwError as error:
        raise SystemExit(error.exit_code) from None
    except Exception:  # noqa: BLE001 - its traceback is in the report, and shown once
        raise SystemExit(1) from None


@contextmanager
def failures_reported() -> Iterator[None]:
    """Errors that pass are reported before anything else is tried, such as leaving the group."""
    try:
        yield
    except Exception as error:
        plain = lost_contact(error) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None
        _report(plain or error)
        if plain is None or plain is error:
            raise
        raise plain from error


def _report(error: Exception) -> None:
    place = os.environ.get(REPORT) if is_worker() else None
    if place is not None:
        write_report(_described(error), Path(place))
        _end_after(FAREWELL_SECONDS, _exit_code(error))


def _described(error: Exception) -> Failure:
    rank, code, now = int(os.environ["RANK"]), _exit_code(error), time.time()
    if isinstance(error, LostContact):
        return Failure(rank, "lost contact", str(error), code, now)
    if isinstance(error, Interrupted):
        return Failure(rank, "stopped", str(error), code, now)
    if isinstance(error, LorafwError):
        return Failure(rank, "refused", str(error), code, now, isinstance(error, UsageError))
    told = "".join(traceback.format_exception(error))
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failure(rank, "crashed", reason, code, now, traceback=told)


def _exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, LorafwError) else 1


def _end_after(seconds: float, code: int) -> None:
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def _follow_launcher() -> None:
    """Stop as if asked to when the launcher is killed, and end even if stopping is impossible."""
    launcher = os.environ.get(LAUNCHER)
    if launcher is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_outlive_briefly, args=(int(launcher),), daemon=True).start()


def _outlive_briefly(launcher: int) -> None:
    """Also where the kernel sends no signal, or sent it before it was asked to."""
    while os.getppid() == launcher:
        time.sleep(0.5)
    time.sleep(0.5)
    if sys.platform != "linux":
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os._exit(128 + signal.SIGTERM)

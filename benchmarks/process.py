"""A whole process, measured from its start to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took.

    Attributes:
        seconds: wall time.
        cpu_seconds: user and system time of the process and those it waited for.
        peak_bytes: largest resident size of any one of them.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_process(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> Usage:
    """Run a command in a folder; what it prints is shown only if it fails."""
    log = folder / "output.log"
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(words, cwd=folder, env=env, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(words)}\n{log.read_text(encoding='utf-8')}")
    peak = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    return Usage(seconds, used.ru_utime + used.ru_stime, peak)

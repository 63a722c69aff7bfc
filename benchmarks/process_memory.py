"""Listener for measurements: how much memory a run holds whenever a stage begins."""

from __future__ import annotations

import ctypes
import gc
import json
import time
from pathlib import Path

from lorafw.assembly.hooks import listens
from lorafw.contracts.listener import Listener

FILE = "held.jsonl"


class Held(Listener):
    """Writes time and resident memory at the start of every stage."""

    def open(self, folder: Path) -> object:
        """Appends to a file in the run's folder."""
        return _Writer(folder / FILE)


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path

    @listens
    def stage_start(self, stage: str) -> None:
        """A line of JSON: the stage, seconds, and bytes after garbage was given back."""
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        told = {"stage": stage, "seconds": time.perf_counter(), "bytes": _resident()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096

"""A listener that times a fit from its first event to its last."""

from __future__ import annotations

import json
import time
from pathlib import Path

from pydantic import Field

from lorafw.assembly.hooks import listens
from lorafw.contracts import Listener


class FitClock(Listener):
    """Writes the wall and CPU time of training when it ends."""

    seconds: Path = Field(description="The file to write them to.")

    def open(self, folder: Path) -> object:  # noqa: ARG002 - not the run's own place
        """The live listener, on rank 0."""
        return _Clock(self.seconds)


class _Clock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._wall, self._cpu = 0.0, 0.0

    @listens
    def fit_start(self) -> None:
        """Nothing was computed yet."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @listens
    def fit_end(self) -> None:
        """All steps are done, and the last checkpoint is written."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self._path.write_text(json.dumps({"wall": wall, "cpu": cpu}), encoding="utf-8")

"""A listener that marks the end of every step, of all ranks together."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from benchmarks.measure import StepClock, siblings
from lorafw.assembly.hooks import listens
from lorafw.contracts import Listener
from lorafw.training.launching import is_worker


class StepMarks(Listener):
    """Keeps a clock of the steps and writes it when training ends."""

    marks: Path = Field(description="The file to write it to.")

    def open(self, folder: Path) -> object:  # noqa: ARG002 - not the run's own place
        """The live listener, on rank 0."""
        return _Marker(self.marks)


class _Marker:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = StepClock()

    @listens
    def fit_start(self) -> None:
        """All ranks are there, under one launcher if there is more than one."""
        self._clock = StepClock(siblings() if is_worker() else ())

    @listens
    def step_end(self) -> None:
        """A step is done."""
        self._clock.mark()

    @listens
    def fit_end(self) -> None:
        """All steps are done."""
        self._clock.write(self._path)

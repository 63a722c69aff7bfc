"""The events of a run as every tracker takes them: settings, figures by step, notices, an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorafw.assembly.hooks import listens
from lorafw.builtin.trackers._figures import FIRST_STAGE, of_evaluation, of_stage, step_figures
from lorafw.builtin.trackers._settings import Scalar, flattened, without_logins


class Tracking(ABC):
    """Hands on what it hears; whatever is told before the run has begun is dropped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun = False
        self._stage, self._step = FIRST_STAGE, 0

    @abstractmethod
    def begin(self, name: str, settings: Mapping[str, Scalar]) -> None:
        """Open the tracker's run, or that of an earlier process, and tell it the settings."""

    @abstractmethod
    def go_on(self, step: int, counts: Mapping[str, int]) -> None:
        """Training begins after `step` steps; figures of later ones are out of date."""

    @abstractmethod
    def log(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """Take figures of a step; a series has at most one set of them for each."""

    @abstractmethod
    def say(self, step: int, message: str) -> None:
        """Take a notice."""

    @abstractmethod
    def end(self, error: str | None, result: Mapping[str, Scalar]) -> None:
        """Close the run: failed with an error, or finished with a result."""

    @listens
    def run_start(self, config: Mapping[str, Any]) -> None:
        name = str(config.get("run", {}).get("name", self.folder.name))
        self.begin(name, flattened(config))
        self._begun = True

    @listens
    def notice(self, message: str) -> None:
        if self._begun:
            self.say(self._step, without_logins(message))

    @listens
    def stage_start(self, stage: str) -> None:
        self._stage = stage

    @listens
    def fit_start(self, steps: int, start: int, rows: int, trainable: int, parameters: int) -> None:
        self._step = start
        counts = {"rows": rows, "trainable": trainable, "parameters": parameters}
        self.go_on(start, {"steps": steps, **counts})

    @listens
    def step_end(
        self,
        step: int,
        epoch: float,
        loss: float,
        grad_norm: float,
        learning_rate: float,
        tokens: int,
        seconds: float,
    ) -> None:
        self._step = step
        figures = step_figures(epoch, loss, grad_norm, learning_rate, tokens, seconds)
        self.log(self._stage, step, of_stage(self._stage, figures))

    @listens
    def evaluation_end(self, step: int, figures: Mapping[str, float]) -> None:
        self.log(f"eval/{self._stage}", step, of_evaluation(self._stage, figures))

    @listens
    def run_end(self, result: Mapping[str, Any]) -> None:
        self.end(None, flattened(result))

    @listens
    def run_failed(self, error: str) -> None:
        if self._begun:
            self.end(without_logins(error), {})

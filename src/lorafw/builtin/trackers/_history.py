"""What a run has told so far, earlier processes of it included: curves, notices, its end."""

from __future__ import annotations

import functools
import inspect
import json
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorafw.assembly.hooks import listens
from lorafw.builtin.event_log import FILE as EVENTS
from lorafw.builtin.trackers._figures import FIRST_STAGE, of_evaluation, of_stage, step_figures
from lorafw.builtin.trackers._settings import without_logins, without_secrets
from lorafw.builtin.trackers._told import goes_on

_RETOLD = {"notice", "stage_start", "fit_start", "step_end", "evaluation_end", "score_end"}
"""Events of an earlier process that still count when a run is resumed."""


class Curve:
    """One figure by step; two numbers a point, however long the run is."""

    def __init__(self) -> None:
        self.steps, self.values = array("q"), array("d")

    def add(self, step: int, value: float) -> None:
        """Put a point behind the others, in the place of those from its step on."""
        self.cut(step - 1)
        self.steps.append(step)
        self.values.append(float(value))  # a log has words such as "nan" for some numbers

    def cut(self, last: int) -> None:
        """Forget what came after a step."""
        while self.steps and self.steps[-1] > last:
            self.steps.pop()
            self.values.pop()


class History(ABC):
    """Listens, and remembers what a picture or a page of the run needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: Mapping[str, Any] = {}
        self.curves: dict[str, dict[str, Curve]] = {}
        self.scores: dict[str, dict[str, Mapping[str, float]]] = {}  # by stage and task
        self.notices: dict[str, None] = {}  # in order, each once
        self.counts: dict[str, int] = {}
        self.resumed: list[int] = []
        self.exports: dict[str, Path] = {}
        self.result: Mapping[str, Any] = {}
        self.error: str | None = None
        self._stage = FIRST_STAGE
        self._at_work, self._show_from = True, 0.0

    @abstractmethod
    def show(self) -> None:
        """Bring what can be seen up to date: after evaluations, and at the end."""

    @listens
    def run_start(self, config: Mapping[str, Any]) -> None:
        self.config = without_secrets(config)
        if goes_on(self.folder):
            for event, payload in _earlier_events(self.folder / EVENTS):
                self._take(event, payload)
            self._at_work = False

    @listens
    def notice(self, message: str) -> None:
        self.notices[without_logins(message)] = None

    @listens
    def stage_start(self, stage: str) -> None:
        self._stage = stage

    @listens
    def fit_start(self, steps: int, start: int, rows: int, trainable: int, parameters: int) -> None:
        self._at_work = True
        self.counts = {"steps": steps, "rows": rows}
        self.counts |= {"trainable": trainable, "parameters": parameters}
        for curve in self._curves().values():
            curve.cut(start)
        if start:
            self.resumed.append(start)

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
        figures = step_figures(epoch, loss, grad_norm, learning_rate, tokens, seconds)
        self._add(step, of_stage(FIRST_STAGE, figures))

    @listens
    def evaluation_end(self, step: int, figures: Mapping[str, float]) -> None:
        self._add(step, of_evaluation(FIRST_STAGE, figures))
        if step:
            self._show_and_rest()

    @listens
    def score_end(self, stage: str, task: str, figures: Mapping[str, float]) -> None:
        self._keep_score(stage, task, figures)
        self._show_and_rest()

    @listens
    def export_end(self, exporter: str, path: Path) -> None:
        self.exports[exporter] = path

    @listens
    def run_end(self, result: Mapping[str, Any]) -> None:
        self.result = without_secrets(result)
        self.show()

    @listens
    def run_failed(self, error: str) -> None:
        self.error = without_logins(error)
        if self._at_work:  # a resume that was refused leaves what there is to see
            self.show()

    def _curves(self) -> dict[str, Curve]:
        return self.curves.setdefault(self._stage, {})

    def _add(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._curves().setdefault(name, Curve()).add(step, value)

    def _keep_score(self, stage: str, task: str, figures: Mapping[str, float]) -> None:
        values = {name: float(value) for name, value in figures.items()}
        self.scores.setdefault(stage, {})[task] = values

    def _show_and_rest(self) -> None:
        """Show, and then not again until this has cost less than a twentieth of the time."""
        began = time.monotonic()
        if began < self._show_from:
            return
        self.show()
        ended = time.monotonic()
        self._show_from = ended + 20 * (ended - began)

    def _take(self, event: str, payload: Mapping[str, Any]) -> None:
        """An event of an earlier process, without showing anything."""
        values = {name: payload[name] for name in _arguments(event)}
        if event == "evaluation_end":
            self._add(values["step"], of_evaluation(FIRST_STAGE, values["figures"]))
        elif event == "score_end":
            self._keep_score(**values)
        else:
            getattr(History, event)(self, **values)


@functools.cache
def _arguments(event: str) -> tuple[str, ...]:
    """What the history asks of an event."""
    _, *names = inspect.signature(getattr(History, event)).parameters
    return tuple(names)


def _earlier_events(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("}\n"):  # a killed process may have left a piece of one
                payload = json.loads(line)
                if (event := payload.pop("event")) in _RETOLD:
                    yield event, payload

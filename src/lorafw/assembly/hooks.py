"""The events of a run, and their guarded delivery to listeners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from lorafw.errors import UsageError

_announces = pluggy.HookspecMarker("lorafw")
listens = pluggy.HookimplMarker("lorafw")
"""Marks a listener's method as the receiver of the event of the same name."""


class Events:
    """Every event, with its payload. All are sent on rank 0 only, with plain values."""

    @_announces
    def run_start(self, folder: Path, config: Mapping[str, Any]) -> None:
        """The run's folder exists and its resolved config is saved there."""

    @_announces
    def notice(self, message: str) -> None:
        """Something the user should read: rows cut or dropped, a fallback taken."""

    @_announces
    def stage_start(self, stage: str) -> None:
        """A part of the run that takes time begins (data, model, fit, export)."""

    @_announces
    def rows_encoded(self, done: int, total: int) -> None:
        """Some of a split's rows are encoded; sent once a second while that goes on."""

    @_announces
    def fit_start(self, steps: int, start: int, rows: int, trainable: int, parameters: int) -> None:
        """Training begins at step `start` of `steps`; counts are of rows and of numbers."""

    @_announces
    def step_end(
        self,
        step: int,
        steps: int,
        epoch: float,
        loss: float,
        grad_norm: float,
        learning_rate: float,
        tokens: int,
        seconds: float,
        skipped: bool,
    ) -> None:
        """An optimizer step is done; tokens are real ones, over all ranks, padding not counted.

        `skipped`: nothing was updated, as loss or gradients were not finite; then the loss and the
        gradient norm may be no finite numbers either.
        """

    @_announces
    def evaluation_end(self, step: int, figures: Mapping[str, float], best: bool) -> None:
        """Held-out rows were measured after `step` steps; `best`: none before was as good."""

    @_announces
    def checkpoint_saved(self, step: int, path: Path) -> None:
        """A checkpoint is complete and was read back."""

    @_announces
    def fit_end(
        self,
        steps: int,
        loss: float | None,
        seconds: float,
        ended: str,
        best_step: int | None,
        best_figure: float | None,
    ) -> None:
        """Training is over: finished, by early stopping, or asked to stop."""

    @_announces
    def score_end(self, stage: str, task: str, figures: Mapping[str, float]) -> None:
        """After a stage a task's held-out rows were measured; a resumed run tells it again."""

    @_announces
    def export_end(self, exporter: str, path: Path) -> None:
        """An export is complete and was read back."""

    @_announces
    def run_end(self, folder: Path, result: Mapping[str, Any]) -> None:
        """All went well; `result` is what `run.json` holds."""

    @_announces
    def run_failed(self, error: str) -> None:
        """The run ends with an error."""


class Announcer:
    """Hands events to listeners; a listener that raises is reported once and dropped."""

    def __init__(self, listeners: Iterable[object] = ()) -> None:
        self._listeners = list(listeners)
        self._manager = pluggy.PluginManager("lorafw")
        self._manager.add_hookspecs(Events)
        try:
            for number, listener in enumerate(self._listeners):
                self._manager.register(listener, name=f"{type(listener).__name__} {number}")
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            fault = " ".join(str(error).split())
            raise UsageError(f"a listener does not fit the events: {fault}") from None

    def __call__(self, event: str, **payload: Any) -> None:
        """Send one event to every listener that hears it, in the order they were given."""
        for listener in tuple(self._listeners):
            if listener in self._listeners:
                self._deliver(listener, event, payload)

    def _deliver(self, listener: object, event: str, payload: Mapping[str, Any]) -> None:
        others = [other for other in self._listeners if other is not listener]
        try:
            self._manager.subset_hook_caller(event, others)(**payload)
        except Exception as error:  # noqa: BLE001 - no listener may end a run, whatever it raises
            self._manager.unregister(listener)
            self._listeners.remove(listener)
            name = type(listener).__name__
            fault = f"{type(error).__name__}: {error}"
            self("notice", message=f"Listener {name} failed in {event} and was dropped: {fault}")

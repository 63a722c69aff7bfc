"""Listener `mlflow`: figures, settings and notices for MLflow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lorafw.builtin.trackers._packages import need
from lorafw.builtin.trackers._settings import Scalar
from lorafw.builtin.trackers._told import Told
from lorafw.builtin.trackers._tracking import Tracking
from lorafw.contracts.listener import Listener

FOLDER, TOLD, DATABASE, ARTIFACTS = "mlflow", "lorafw.json", "mlflow.db", "artifacts"
LONGEST_NAME, LONGEST_VALUE, LARGEST_BATCH = 250, 5000, 100
"""What MLflow's servers take."""


class MLflow(Listener):
    """Sends figures, settings and notices to MLflow: a server, or the run's own database."""

    tracking_uri: str | None = Field(
        None,
        description="Server or database; null for MLFLOW_TRACKING_URI, else `mlflow/mlflow.db` in "
        "the run's folder.",
    )
    experiment: str = Field("lorafw", min_length=1, description="Experiment the run belongs to.")
    name: str | None = Field(None, description="Name shown; null for the run's own.")
    tags: dict[str, str] = Field({}, description="Tags of the run.")

    def preflight(self) -> None:
        """See that mlflow is installed, with what its databases need.

        Raises:
            LorafwError: it is not.
        """
        need("mlflow", "mlflow")
        if "sql" in (self.address or "sqlite"):
            need("mlflow", "sqlalchemy", "alembic")

    @property
    def address(self) -> str | None:
        """Where MLflow keeps runs, as the option or the environment says."""
        return self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")

    def open(self, folder: Path) -> object:
        """A listener that connects when the run has begun."""
        return _Sender(folder, self)


class _Sender(Tracking):
    def __init__(self, folder: Path, options: MLflow) -> None:
        super().__init__(folder)
        self._options = options

    def begin(self, name: str, settings: Mapping[str, Scalar]) -> None:
        from mlflow import MlflowClient

        place = (self.folder / FOLDER).absolute()
        self._told = Told.read(place / TOLD, self.folder)
        place.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(self._options.address or f"sqlite:///{place / DATABASE}")
        if self._told.run:
            self._client.update_run(self._told.run, status="RUNNING")
        else:
            self._told.run = self._create(self._options.name or name)
            self._told.write()
        self._set_parameters(settings)

    def _create(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(self._options.experiment)
        if experiment is None:
            place = (self.folder / FOLDER / ARTIFACTS).absolute()
            own = None if self._options.address else place.as_uri()
            number = self._client.create_experiment(self._options.experiment, own)
        else:
            number = experiment.experiment_id
        run = self._client.create_run(number, run_name=name, tags=self._options.tags)
        return str(run.info.run_id)

    def _set_parameters(self, settings: Mapping[str, Scalar]) -> None:
        """Tell the settings; one that the run has is left alone, for MLflow allows no other."""
        from mlflow.entities import Param

        known = self._client.get_run(self._told.run).data.params
        named = {_name(name): str(value)[:LONGEST_VALUE] for name, value in settings.items()}
        fresh = [Param(*pair) for pair in named.items() if pair[0] not in known]
        for first in range(0, len(fresh), LARGEST_BATCH):
            self._client.log_batch(self._told.run, params=fresh[first : first + LARGEST_BATCH])

    def go_on(self, step: int, counts: Mapping[str, int]) -> None:  # noqa: ARG002 - see Told
        self._set_parameters({f"counts.{name}": value for name, value in counts.items()})

    def log(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        if self._told.is_news(series, step):
            self._measure(step, figures)

    def _measure(self, step: int, figures: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), float(value), now, step) for key, value in figures.items()]
        self._client.log_batch(self._told.run, metrics=metrics)

    def say(self, step: int, message: str) -> None:  # noqa: ARG002 - MLflow keeps one text
        self._tag("notices", self._told.add_notice(message))

    def end(self, error: str | None, result: Mapping[str, Scalar]) -> None:
        outcome: Mapping[str, Any] = {"error": error} if error is not None else result
        numbers = {name: value for name, value in outcome.items() if _is_number(value)}
        self._measure(self._step, {f"result/{name}": value for name, value in numbers.items()})
        for name in outcome.keys() - numbers.keys():
            self._tag(f"result.{name}", str(outcome[name]))
        self._client.set_terminated(self._told.run, "FINISHED" if error is None else "FAILED")

    def _tag(self, name: str, value: str) -> None:
        self._client.set_tag(self._told.run, f"lorafw.{_name(name)}", value[-LONGEST_VALUE:])


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(name: str) -> str:
    """A name MLflow takes: letters, digits and a few signs."""
    return re.sub(r"[^\w\-. /:]", "_", name)[:LONGEST_NAME]

"""MLflow's own client reads back what was sent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tests.unit.builtin.trackers.story import (
    NOTICE,
    SECRETS,
    Story,
    broken_off,
    whole,
)

from lorafw.builtin.trackers.mlflow import DATABASE, FOLDER, TOLD, MLflow
from lorafw.errors import LorafwError


@pytest.fixture
def listener(mlflow_database: Path) -> MLflow:
    return MLflow(
        tracking_uri=f"sqlite:///{mlflow_database}", experiment="tests", tags={"team": "a"}
    )


def told(listener: MLflow, folder: Path) -> tuple[MlflowClient, Run]:
    client = MlflowClient(listener.tracking_uri)
    number = json.loads((folder / FOLDER / TOLD).read_text())["run"]
    return client, client.get_run(number)


def history(client: MlflowClient, run: Run, name: str) -> list[tuple[int, float]]:
    found = client.get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in found)


def test_figures_by_step(listener: MLflow, tmp_path: Path) -> None:
    whole(listener, tmp_path)
    client, run = told(listener, tmp_path)
    assert history(client, run, "train/loss") == [
        (step, pytest.approx(4 / step)) for step in (1, 2, 3, 4)
    ]
    assert history(client, run, "eval/loss") == [(0, 3.5), (2, 2.5), (4, 1.5)]
    names = {"loss", "learning_rate", "grad_norm", "tokens_per_second", "epoch"}
    assert {f"train/{name}" for name in names} <= run.data.metrics.keys()


def test_settings_notices_and_the_end(listener: MLflow, tmp_path: Path) -> None:
    whole(listener, tmp_path)
    client, run = told(listener, tmp_path)
    assert (run.info.run_name, run.info.status) == ("story", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == "tests"
    assert run.data.params["plan.learning_rate"] == "0.0002"
    assert run.data.params["counts.trainable"] == "1000"
    assert run.data.tags["team"] == "a"
    assert run.data.tags["lorafw.notices"] == NOTICE
    assert run.data.metrics["result/last_loss"] == 1.0
    assert run.data.tags["lorafw.result.ended"] == "finished"


def test_a_failed_run_says_so(listener: MLflow, tmp_path: Path) -> None:
    broken_off(listener, tmp_path)
    _, run = told(listener, tmp_path)
    assert run.info.status == "FAILED"
    assert run.data.tags["lorafw.result.error"] == "the disk is full."


def test_a_resumed_run_goes_on_with_the_same_one(listener: MLflow, tmp_path: Path) -> None:
    broken_off(listener, tmp_path)
    _, before = told(listener, tmp_path)
    changed = {"plan": {"learning_rate": 1e-3, "keep_checkpoints": 5}}
    story = Story(listener, tmp_path, changed).begin(start=2)
    client, run = told(listener, tmp_path)
    assert run.info.status == "RUNNING"
    story.step(3).step(4).finish()
    client, run = told(listener, tmp_path)
    assert run.info.run_id == before.info.run_id
    assert [step for step, _ in history(client, run, "train/loss")] == [1, 2, 3, 4]
    assert [step for step, _ in history(client, run, "eval/loss")] == [0, 2, 4]
    assert run.info.status == "FINISHED"
    assert run.data.params["plan.learning_rate"] == "0.0002"  # MLflow allows no other
    assert run.data.params["plan.keep_checkpoints"] == "5"


def test_a_run_that_starts_over_is_another_one(listener: MLflow, tmp_path: Path) -> None:
    Story(listener, tmp_path).begin().step(1).fail()
    _, first = told(listener, tmp_path)
    Story(listener, tmp_path).begin().step(1).fail()
    _, second = told(listener, tmp_path)
    assert first.info.run_id != second.info.run_id


def test_numbers_that_are_none(listener: MLflow, tmp_path: Path) -> None:
    Story(listener, tmp_path).begin().step(1, loss=float("nan"), grad_norm=float("inf")).fail()
    client, run = told(listener, tmp_path)
    ((step, value),) = history(client, run, "train/loss")
    assert (step, value != value) == (1, True)


def test_without_an_address_runs_are_kept_in_the_folder(
    mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / FOLDER).mkdir()
    shutil.copy(mlflow_database, tmp_path / FOLDER / DATABASE)
    whole(MLflow(experiment="own"), tmp_path)
    own = MLflow(tracking_uri=f"sqlite:///{tmp_path / FOLDER / DATABASE}")
    client, run = told(own, tmp_path)
    place = client.get_experiment_by_name("own")
    assert run.info.status == "FINISHED"
    assert place is not None
    assert place.artifact_location == (tmp_path / FOLDER / "artifacts").as_uri()
    written = (tmp_path / FOLDER / DATABASE).read_bytes()
    assert not [secret for secret in SECRETS if secret.encode() in written]


def test_the_environment_may_give_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    assert MLflow().address == "http://somewhere"
    assert MLflow(tracking_uri="http://other").address == "http://other"


@pytest.mark.parametrize("missing", ["mlflow", "sqlalchemy", "alembic"])
def test_without_a_package_there_is_a_clear_error(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr(
        "lorafw.builtin.trackers._packages.find_spec",
        lambda name: None if name == missing else find_spec(name),
    )
    with pytest.raises(LorafwError, match=rf"^{missing} .*pip install 'lorafw\[mlflow\]'"):
        MLflow().preflight()

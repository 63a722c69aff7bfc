"""TensorBoard reads back what was written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tests.unit.builtin.trackers.story import NOTICE, SECRETS, Story, broken_off, resumed, whole

from lorafw.builtin.trackers.tensorboard import FOLDER, TensorBoard
from lorafw.errors import LorafwError

LISTENER = TensorBoard()


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / FOLDER))
    return found.Reload()


def scalars(found: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(name)]


def text(found: EventAccumulator, name: str) -> str:
    return "".join(
        event.tensor_proto.string_val[0].decode() for event in found.Tensors(f"{name}/text_summary")
    )


def session(found: EventAccumulator, name: str) -> HParamsPluginData:
    content = found.PluginTagToContent("hparams")[f"_hparams_/session_{name}_info"]
    return HParamsPluginData.FromString(content)


def test_figures_by_step(tmp_path: Path) -> None:
    whole(LISTENER, tmp_path)
    found = read(tmp_path)
    names = {"loss", "learning_rate", "grad_norm", "tokens_per_second", "epoch"}
    assert set(found.Tags()["scalars"]) == {f"train/{name}" for name in names} | {"eval/loss"}
    assert scalars(found, "train/loss") == [
        (step, pytest.approx(4 / step)) for step in (1, 2, 3, 4)
    ]
    assert scalars(found, "eval/loss") == [(0, 3.5), (2, 2.5), (4, 1.5)]


def test_settings_notices_and_the_end(tmp_path: Path) -> None:
    whole(LISTENER, tmp_path)
    found = read(tmp_path)
    settings = session(found, "start").session_start_info.hparams
    assert settings["plan.learning_rate"].number_value == 2e-4
    assert settings["injector.use"].string_value == "custom"
    assert settings["plan.export_best"].bool_value is False
    assert "plan.betas | `0.9, 0.999`" in text(found, "config")
    assert text(found, "notices") == NOTICE
    assert "last_loss | `1.0`" in text(found, "result")
    assert session(found, "end").session_end_info.status == STATUS_SUCCESS


def test_a_failed_run_says_so(tmp_path: Path) -> None:
    broken_off(LISTENER, tmp_path)
    found = read(tmp_path)
    assert text(found, "result") == "Failed: the disk is full."
    assert session(found, "end").session_end_info.status == STATUS_FAILURE


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    broken_off(LISTENER, tmp_path)
    resumed(LISTENER, tmp_path)
    found = read(tmp_path)
    assert [step for step, _ in scalars(found, "train/loss")] == [1, 2, 3, 4]
    assert [step for step, _ in scalars(found, "eval/loss")] == [0, 2, 4]


def test_a_run_that_starts_over_shows_nothing_of_before(tmp_path: Path) -> None:
    Story(LISTENER, tmp_path).begin().step(1).step(2).fail()
    Story(LISTENER, tmp_path).begin().step(1).fail()
    found = read(tmp_path)
    assert [step for step, _ in scalars(found, "train/loss")] == [1]
    assert [step for step, _ in scalars(found, "eval/loss")] == [0]
    assert "injector.use" in text(found, "config")


def test_no_secret_is_written(tmp_path: Path) -> None:
    whole(LISTENER, tmp_path)
    written = b"".join(path.read_bytes() for path in (tmp_path / FOLDER).iterdir())
    assert not [secret for secret in SECRETS if secret.encode() in written]


def test_without_the_package_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorafw.builtin.trackers._packages.find_spec", lambda _: None)
    with pytest.raises(LorafwError, match=r"pip install 'lorafw\[tensorboard\]'"):
        LISTENER.preflight()


def test_a_folder_of_the_same_name_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorboard").mkdir()
    spec = importlib.machinery.PathFinder.find_spec("tensorboard", [str(tmp_path)])
    monkeypatch.setattr("lorafw.builtin.trackers._packages.find_spec", lambda _: spec)
    assert spec is not None
    with pytest.raises(LorafwError, match="not installed"):
        LISTENER.preflight()

"""The parts that turn rows into ids can be composed without the rest of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.assembly.compose import compose_data
from lorafw.assembly.config import RunConfig, read_config
from lorafw.assembly.registry import Registry
from lorafw.errors import CompositionError, ConfigError

TOY = ["dataset=toy", "model={use: toy, path: nowhere}", "objective=toy"]
NEEDS = ("dataset", "model")


def config(*overrides: str) -> RunConfig:
    return read_config(Registry(), overrides=[*TOY, *overrides], needs=NEEDS)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[2] / "fixtures" / "plugins" / "toys"
    monkeypatch.syspath_prepend(folder)


def test_no_trainer_and_no_injector_are_asked_for() -> None:
    parts = compose_data(config(), Registry())
    assert parts.names == {
        "model": "toy",
        "objective": "toy",
        "dataset": "toy",
        "encoder": "toy",
    }


def test_parts_of_no_interest_are_not_loaded() -> None:
    assert compose_data(config("injector=no-such", "trainer=no-such"), Registry()).encoder


def test_what_is_needed_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="which model to use"):
        read_config(Registry(), overrides=["dataset=toy"], needs=NEEDS)
    assert read_config(Registry(), overrides=["dataset=toy"], needs=NEEDS[:1]).model.name == ""


def test_rows_the_encoder_cannot_read_are_refused() -> None:
    with pytest.raises(CompositionError, match="encoder 'toy' accepts PromptExample"):
        compose_data(config("dataset.rows=chat"), Registry())


def test_a_file_that_is_not_there_is_told_with_its_place(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"dataset:\n  use: toy\n  path: {tmp_path}/none\nmodel: {{use: toy, path: x}}\n")
    found = read_config(Registry(), path=job, overrides=["objective=toy"], needs=NEEDS)
    with pytest.raises(Exception, match=r"there is no such file"):
        compose_data(found, Registry())

"""Finished stages come in the order in which they were trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lorafw.errors import CheckpointError
from lorafw.stages.memory import stored
from lorafw.training.checkpoints.files import write_files
from lorafw.training.checkpoints.stages import finished_stages


def _finish(run: Path, name: str, **facts: object) -> None:
    place = run / "stages" / name
    place.mkdir(parents=True)
    write_files(place, stored({"w": torch.ones(1)}, **facts))


def test_by_number_and_not_by_name(tmp_path: Path) -> None:
    names = [f"task-{number}" for number in range(12)]
    for number, name in enumerate(names):
        _finish(tmp_path, name, number=number, task="all")
    found = finished_stages(tmp_path)
    assert [stage.name for stage in found] == names
    assert {stage.task for stage in found} == {"all"}
    assert found[3].place == tmp_path / "stages" / "task-3"


def test_a_run_without_stages_has_none(tmp_path: Path) -> None:
    assert finished_stages(tmp_path) == []
    (tmp_path / "stages" / "begun").mkdir(parents=True)
    assert finished_stages(tmp_path) == []


def test_a_stage_that_tells_no_number_is_damaged(tmp_path: Path) -> None:
    _finish(tmp_path, "odd", task="all")
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: cannot be read: 'number'"):
        finished_stages(tmp_path)

"""Checkpoints are whole or not there, and a damaged one is an error, not a guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lorafw.errors import CheckpointError
from lorafw.training.checkpoint import newest_checkpoint, read_checkpoint


def _checkpoint(folder: Path, step: int) -> Path:
    place = folder / f"step-{step:08d}"
    place.mkdir()
    tensors = {"value/a.lora_A.weight": torch.ones(2), "step/a.lora_A.weight": torch.tensor(3.0)}
    save_file(tensors, place / "state.safetensors")
    about = {"format": 1, "seed": 0, "fingerprint": {}, "progress": {"step": step}}
    (place / "checkpoint.json").write_text(json.dumps(about), encoding="utf-8")
    return place


def test_the_newest_is_found_by_step_not_by_date(tmp_path: Path) -> None:
    newest = _checkpoint(tmp_path, 100)
    _checkpoint(tmp_path, 9)
    assert newest_checkpoint(tmp_path) == newest


def test_a_half_written_one_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".step-00000007.new-abcd").mkdir()
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None


def test_tensors_come_back_by_name_and_key(tmp_path: Path) -> None:
    about, state = read_checkpoint(_checkpoint(tmp_path, 5))
    assert about["progress"]["step"] == 5
    assert state["a.lora_A.weight"]["step"].item() == 3.0


def test_another_format_is_refused(tmp_path: Path) -> None:
    place = _checkpoint(tmp_path, 5)
    (place / "checkpoint.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="format 99"):
        read_checkpoint(place)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["state.safetensors", "checkpoint.json"]), st.floats(0, 0.99))
def test_a_cut_off_file_is_one_clear_error(tmp_path: Path, name: str, share: float) -> None:
    folder = tmp_path / f"{name}-{share}"
    folder.mkdir(exist_ok=True)
    place = folder / "step-00000005"
    if not place.exists():
        _checkpoint(folder, 5)
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError):
        read_checkpoint(place)

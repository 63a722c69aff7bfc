"""A disk that cannot hold what a run will write is found before training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import TrainJob
from lorafw.errors import TrainingError
from lorafw.testing.toy_training import toy_model, training_plan
from lorafw.testing.toys import ToyEncoder
from lorafw.training.guards.room import checkpoints_bytes, require_room


def job(folder: Path | None, **plan: Any) -> TrainJob:
    return TrainJob(
        model=toy_model(),
        objective=CausalLM(),
        encoder=ToyEncoder(),
        rows=[],
        plan=training_plan(**plan),
        checkpoints=folder,
    )


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    usage = shutil._ntuple_diskusage(10**12, 0, size)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)


def test_need_and_free_space_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = sum(parameter.numel() for parameter in toy_model().trainable().values())
    most = 12 * numbers * 3
    assert checkpoints_bytes(job(tmp_path)) == most
    assert checkpoints_bytes(job(tmp_path, export_best=True)) == most // 3 * 4
    assert checkpoints_bytes(job(None)) == 0
    free(monkeypatch, 5_000_000)
    require_room(job(tmp_path), tmp_path, exports=0)
    with pytest.raises(TrainingError, match=r"need about 7\.\d+ GB, and 5 MB are free"):
        require_room(job(tmp_path), tmp_path, exports=7_000_000_000)


def test_checkpoints_that_are_there_need_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, wanted = tmp_path / "kept", job(tmp_path / "kept")
    free(monkeypatch, checkpoints_bytes(wanted) // 2)
    with pytest.raises(TrainingError, match="Make room"):
        require_room(wanted, tmp_path, exports=0)
    kept.mkdir()
    (kept / "state").write_bytes(bytes(checkpoints_bytes(wanted) // 3 * 2))
    require_room(wanted, tmp_path, exports=0)

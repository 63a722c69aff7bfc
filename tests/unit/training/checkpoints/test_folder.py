"""Which checkpoints are seen, which go, and what is said when the newest is damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lorafw.errors import CheckpointError
from lorafw.training.checkpoints.files import Stored, write_files
from lorafw.training.checkpoints.folder import clear, prune, read_newest
from lorafw.training.checkpoints.places import complete, newest_checkpoint, place_of, step_of


def checkpoint(folder: Path, step: int) -> Path:
    place = place_of(folder, step)
    place.mkdir(parents=True)
    about = {"fingerprint": {}, "progress": {"step": step}}
    write_files(place, Stored(about, {"a": {"value": torch.ones(2)}}))
    return place


def damage(place: Path) -> None:
    (place / "state.safetensors").write_bytes(b"")


def test_the_newest_is_found_by_step_not_by_date(tmp_path: Path) -> None:
    newest = checkpoint(tmp_path, 100_000_000)
    checkpoint(tmp_path, 9)
    assert newest_checkpoint(tmp_path) == newest


def test_only_whole_ones_are_seen(tmp_path: Path) -> None:
    (tmp_path / ".step-00000007.new-0123abcd").mkdir()
    (tmp_path / "step-00000007.bak").mkdir()
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None
    assert read_newest(tmp_path) is None


def test_a_damaged_one_is_not_passed_over(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint(tmp_path, step)
    damage(place_of(tmp_path, 3))
    with pytest.raises(CheckpointError, match=r"Delete '.*step-00000003' to continue from step 2,"):
        read_newest(tmp_path)
    damage(place_of(tmp_path, 2))
    with pytest.raises(CheckpointError, match=r"step-00000003: cannot be read.*from step 1, which"):
        read_newest(tmp_path)
    shutil.rmtree(place_of(tmp_path, 3))
    shutil.rmtree(place_of(tmp_path, 2))
    found = read_newest(tmp_path)
    assert found is not None
    assert found[0] == place_of(tmp_path, 1)


def test_without_a_whole_one_a_new_run_is_all_there_is(tmp_path: Path) -> None:
    damage(checkpoint(tmp_path, 1))
    with pytest.raises(CheckpointError, match="No other checkpoint is whole; start a new run"):
        read_newest(tmp_path)


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    for step in range(1, 7):
        checkpoint(tmp_path, step)
    prune(tmp_path, keep=2, best=3)
    assert [step_of(place) for place in complete(tmp_path)] == [3, 5, 6]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_checkpoint_loses_its_name_before_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path, 1)
    checkpoint(tmp_path, 2)
    seen: list[list[Path]] = []
    monkeypatch.setattr(shutil, "rmtree", lambda _: seen.append(complete(tmp_path)))
    prune(tmp_path, keep=1, best=None)
    assert seen == [[place_of(tmp_path, 2)]]


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    kept = checkpoint(tmp_path, 1)
    for name in (".step-00000002.new-0123abcd", ".step-00000001.old-0123abcd"):
        checkpoint(tmp_path / name, 1)
    (tmp_path / ".step-notes").touch()
    clear(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([kept, tmp_path / ".step-notes"])
    clear(tmp_path / "nowhere")

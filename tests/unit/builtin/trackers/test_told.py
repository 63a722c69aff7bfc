"""What a tracker was told is kept for the run's next process, and for no other run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw.builtin.trackers._told import Told, goes_on


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "tracker" / "lorafw.json"


def checkpoint(folder: Path, name: str = "step-00000002") -> None:
    (folder / "checkpoints" / "train" / name).mkdir(parents=True)


def test_a_process_goes_on_where_the_last_one_was(place: Path, tmp_path: Path) -> None:
    told = Told.read(place, tmp_path)
    told.run = "abc"
    assert [told.is_news("train", step) for step in (1, 2, 3)] == [True] * 3
    told.add_notice("rows were cut.")
    checkpoint(tmp_path)
    again = Told.read(place, tmp_path)
    assert again == told
    assert [again.is_news("train", step) for step in (2, 3, 4)] == [False, False, True]
    assert again.is_news("eval/train", 0)
    assert again.add_notice("rows were cut.") == "rows were cut."
    assert again.add_notice("more.") == "rows were cut.\nmore."


def test_without_a_checkpoint_a_run_is_a_new_one(place: Path, tmp_path: Path) -> None:
    Told(place, run="abc").write()
    assert Told.read(place, tmp_path).run == ""


def test_a_checkpoint_that_is_not_whole_does_not_count(tmp_path: Path) -> None:
    checkpoint(tmp_path, ".step-00000002.new")
    assert not goes_on(tmp_path)
    checkpoint(tmp_path)
    assert goes_on(tmp_path)

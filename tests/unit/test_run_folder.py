"""Which folder a run gets, and what is said before training when it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorafw import run_folder
from lorafw.errors import ConfigError, ExportError
from lorafw.run_folder import RunFolder


def test_the_next_free_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = run_folder.choose(None, "job", resume=False)
    run_folder.prepare(first)
    second = run_folder.choose(None, "job", resume=False)
    run_folder.prepare(second)
    assert (first.path, second.path) == (Path("runs/job"), Path("runs/job-2"))
    assert run_folder.choose(None, "job", resume=True) == second


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_record({"steps": 1})
    with pytest.raises(ConfigError, match="already holds a run") as caught:
        run_folder.choose(tmp_path, "job", resume=False)
    assert caught.value.exit_code == 2
    assert run_folder.choose(tmp_path, "job", resume=True).path == tmp_path


def test_a_file_in_the_way_is_said_before_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ConfigError, match="cannot be written to"):
        run_folder.prepare(RunFolder(blocked / "run"))


def test_the_record_comes_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_record({"steps": 3, "first_loss": None})
    assert folder.read_record() == {"steps": 3, "first_loss": None}


def test_a_folder_that_is_a_file_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="run' cannot be written to: it is a file") as caught:
        run_folder.prepare(RunFolder(tmp_path / "run"))
    assert caught.value.exit_code == 2


def test_a_record_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"run\.json: cannot be written: No such file") as caught:
        RunFolder(tmp_path / "gone").write_record({"steps": 3})
    assert "--resume" in caught.value.mend


def test_the_newest_step_of_any_stage(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.newest_step is None
    for name in (
        "one/step-00000002",
        "two/step-00000011",
        "two/.step-00000012.new-1",
        "two/step-x",
    ):
        (folder.checkpoints / name).mkdir(parents=True)
    assert folder.newest_step == 11

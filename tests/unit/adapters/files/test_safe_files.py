"""Nothing half-written is ever seen under a final name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorafw.adapters.files import safe_files
from lorafw.adapters.files.safe_files import publish, replace_text, write_bytes

if TYPE_CHECKING:
    from pathlib import Path


def write_note(text: str, folder: Path) -> int:
    (folder / "deep").mkdir()
    (folder / "deep" / "note").write_text(text)
    return len(text)


def test_publish_returns_what_build_returned_and_leaves_only_the_final_folder(
    tmp_path: Path,
) -> None:
    final = tmp_path / "runs" / "first"
    assert publish(lambda folder: write_note("hello", folder), final) == 5
    assert (final / "deep" / "note").read_text() == "hello"
    assert list(final.parent.iterdir()) == [final]


def test_the_final_name_does_not_exist_while_building(tmp_path: Path) -> None:
    final = tmp_path / "final"
    publish(lambda folder: write_note(str(final.exists()), folder), final)
    assert (final / "deep" / "note").read_text() == "False"


def test_an_older_folder_is_replaced_whole(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "stale").touch()
    publish(lambda folder: write_note("new", folder), final)
    assert [path.name for path in final.iterdir()] == ["deep"]
    assert list(tmp_path.iterdir()) == [final]


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.write_text("mine")
    with pytest.raises(FileExistsError, match="a file is in the way"):
        publish(lambda folder: write_note("new", folder), final)
    assert final.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [final]


def test_a_failed_build_leaves_the_older_folder_and_no_rubbish(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_note("half", folder)
        raise ValueError("no")

    final = tmp_path / "final"
    publish(lambda folder: write_note("old", folder), final)
    with pytest.raises(ValueError, match="no"):
        publish(fail, final)
    assert (final / "deep" / "note").read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_failed_rename_puts_the_older_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "final"
    publish(lambda folder: write_note("old", folder), final)
    real = type(final).rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.startswith(".final.new"):
            raise OSError("disk on fire")
        return real(self, target)

    monkeypatch.setattr(type(final), "rename", rename)
    with pytest.raises(OSError, match="on fire"):
        publish(lambda folder: write_note("new", folder), final)
    assert (final / "deep" / "note").read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_everything_is_on_disk_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(safe_files, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(safe_files, "sync_folder", lambda path: synced.append(path.name))
    publish(lambda folder: write_note("x", folder), tmp_path / "final")
    assert synced[:2] == ["note", "deep"]
    assert synced[2].startswith(".final.new")
    assert synced[3] == tmp_path.name


def test_write_bytes_replaces_a_file_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "run.yaml"
    replace_text(place, "first")
    with pytest.raises(UnicodeEncodeError):
        replace_text(place, "second \ud800")
    assert place.read_text() == "first"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        replace_text(tmp_path / "folder", "text")
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml", "folder"}

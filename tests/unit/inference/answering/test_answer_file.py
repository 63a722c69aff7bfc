"""A file of answers is continued only with what it was begun with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw.errors import ExportError, UsageError
from lorafw.inference.answering.answer_file import AnswerFile

FACTS = {"input": "x", "asking": {"seed": 0, "stop": ["."]}}


def begun(path: Path, content: bytes) -> Path:
    rows, stream = AnswerFile(path, resume=False).open(FACTS)
    assert rows == 0
    with stream:
        stream.write(content)
    return path


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = begun(tmp_path / "a.jsonl", b"{}\n")
    with pytest.raises(UsageError, match="exists already"):
        AnswerFile(path, resume=False)
    with pytest.raises(UsageError, match="exists already"):
        AnswerFile(tmp_path, resume=True)
    with pytest.raises(UsageError, match="no such folder"):
        AnswerFile(tmp_path / "b" / "a.jsonl", resume=True)


@pytest.mark.parametrize(
    ("content", "rows", "kept"),
    [(b"", 0, b""), (b"{}\n{}\n", 2, b"{}\n{}\n"), (b"{}\n{\xc3", 1, b"{}\n"), (b"{", 0, b"")],
)
def test_it_goes_on_behind_the_last_whole_row(
    tmp_path: Path, content: bytes, rows: int, kept: bytes
) -> None:
    path = begun(tmp_path / "a.jsonl", content)
    done, stream = AnswerFile(path, resume=True).open(FACTS)
    with stream:
        stream.write(b"new\n")
    assert (done, path.read_bytes()) == (rows, kept + b"new\n")


def test_resuming_nothing_begins(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl", resume=True)
    assert not file.continues
    file.open(FACTS)[1].close()
    assert json.loads(file.note.read_text()) == FACTS


def test_other_facts_are_refused_by_name(tmp_path: Path) -> None:
    path = begun(tmp_path / "a.jsonl", b"{}\n")
    other = {**FACTS, "asking": {"seed": 1, "stop": ["."]}}
    with pytest.raises(UsageError, match=r"asking\.seed was 0, it is 1 now"):
        AnswerFile(path, resume=True).check(other)
    with pytest.raises(UsageError, match=r"model was nothing, it is m now"):
        AnswerFile(path, resume=True).open({**FACTS, "model": "m"})
    assert path.read_bytes() == b"{}\n"


@pytest.mark.parametrize("note", [None, "", "[]"])
def test_rows_without_their_note_are_not_continued(tmp_path: Path, note: str | None) -> None:
    path = begun(tmp_path / "a.jsonl", b"{}\n")
    file = AnswerFile(path, resume=True)
    file.note.unlink() if note is None else file.note.write_text(note)
    with pytest.raises(UsageError, match=r"a\.jsonl\.note\.json, which tells what began it"):
        file.check(FACTS)


def test_a_note_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl", resume=False)
    file.note.mkdir()
    with pytest.raises(ExportError, match="cannot be written"):
        file.open(FACTS)

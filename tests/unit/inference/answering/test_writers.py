"""Answers are written with all that their rows say."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.questions import Question
from lorafw.errors import ExportError
from lorafw.inference.answering.job import Answered
from lorafw.inference.answering.writers import JsonLines, TraceResults
from lorafw.types import PromptExample

FOUND = {"answer": "four", "finish_reason": "stop"}


def answered(row: dict[str, Any], found: dict[str, Any] | None = None, right: str = "") -> Answered:
    example = PromptExample(str(row.get("prompt", "")), "")
    return Answered(Question("x:1", row, example, right), FOUND if found is None else found)


def written(*rows: Answered) -> list[dict[str, Any]]:
    stream = io.BytesIO()
    writer = JsonLines(stream, "x")
    for row in rows:
        writer.write(row)
    writer.finish()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_the_row_and_what_was_found() -> None:
    assert written(answered({"prompt": "2+2", "id": 7})) == [{"prompt": "2+2", "id": 7, **FOUND}]


def test_what_would_be_replaced_is_kept_under_another_name() -> None:
    (line,) = written(answered({"answer": "4", "given_answer": "IV"}))
    assert line == {"given_given_answer": "4", "given_answer": "IV", **FOUND}


NAMES = st.sampled_from(["answer", "given_answer", "given_given_answer", "error", "prompt"])


@given(st.dictionaries(NAMES, st.text()))
def test_no_value_is_lost(row: dict[str, str]) -> None:
    (line,) = written(answered(row))
    assert all(line[name] == value for name, value in FOUND.items())
    kept = [value for name, value in line.items() if name not in FOUND]
    assert sorted(kept) == sorted(row.values())


def test_a_row_that_could_not_be_read_is_its_fault() -> None:
    assert written(Answered(None, {"error": "x:1: torn."})) == [{"error": "x:1: torn."}]


def test_what_utf8_cannot_hold_is_written_in_ascii() -> None:
    (line,) = written(answered({"id": "\ud800", "prompt": "é"}))
    assert (line["id"], line["prompt"]) == ("\ud800", "é")


class Full(io.RawIOBase):
    """Takes a few bytes at a time, and then no more."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: Any) -> int:
        if len(self.taken) > 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.taken += bytes(data[:7])
        return min(7, len(data))


def test_a_full_disk_is_one_error_that_names_the_file() -> None:
    full: Any = Full()
    writer = JsonLines(full, "here.jsonl")
    writer.write(answered({}, {"answer": "a"}))
    assert full.taken == b'{"answer": "a"}\n'
    with pytest.raises(ExportError, match=r"here\.jsonl: cannot be written: No space left"):
        writer.write(answered({"prompt": "x" * 50}))


def test_the_lists_of_trace(tmp_path: Path) -> None:
    path = tmp_path / "results-0-0-task.json"
    writer = TraceResults(path)
    writer.write(answered({"prompt": "2+2"}, right="4"))
    writer.write(answered({"prompt": "sort"}, {"label": "b", "probabilities": {}}, right="a"))
    writer.write(Answered(None, {"error": "torn"}))
    assert not path.exists()
    writer.finish()
    lists = {"prompts": ["2+2", "sort", ""], "results": ["four", "b", ""], "labels": ["4", "a", ""]}
    assert json.loads(path.read_text()) == lists


def test_lists_that_cannot_be_written_are_one_error(tmp_path: Path) -> None:
    writer = TraceResults(tmp_path / "gone" / "x.json")
    with pytest.raises(ExportError, match="cannot be written"):
        writer.finish()

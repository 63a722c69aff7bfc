from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.gsm8k_rows import gsm8k_rows
from benchmarks.model import _tokenizer
from benchmarks.rows import EOS_ID, LONGEST, SPECIAL, Row

VOCABULARY = 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pairs = [("How many is 2 and 12345?", "It is 12347."), ("Why? " * 900, "So. " * 900)]
    rows = [{"question": question, "answer": answer} for question, answer in pairs]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _short(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: len(row.ids))


def test_words_and_numbers_are_hashed_and_only_the_answer_is_trained(file: Path) -> None:
    row = _short(gsm8k_rows(file, 2, vocabulary=VOCABULARY))
    assert len(row.prompt) == len(["How", "many", "is", "2", "and", "123", "45", "?"])
    assert len(row.response) == len(["It", "is", "123", "47", "."]) + 1
    assert row.prompt[2] == row.response[1]  # is
    assert row.response[-1] == EOS_ID
    assert all(len(SPECIAL) <= token < VOCABULARY for token in row.ids[:-1])


def test_rows_are_the_same_each_time_and_come_again_where_there_are_too_few(file: Path) -> None:
    rows = gsm8k_rows(file, 5, 3, VOCABULARY)
    assert rows == gsm8k_rows(file, 5, 3, VOCABULARY)
    assert len(rows) == 5
    assert rows[0] == rows[2] != rows[1]
    assert max(len(row.ids) for row in rows) <= LONGEST


def test_the_tokenizer_gives_the_ids_that_are_known(file: Path) -> None:
    row = _short(gsm8k_rows(file, 2, vocabulary=VOCABULARY))
    prompt, response = row.texts
    tokenizer = _tokenizer(VOCABULARY)
    assert tokenizer(prompt).input_ids == list(row.prompt)
    assert [*tokenizer(response).input_ids, EOS_ID] == list(row.response)

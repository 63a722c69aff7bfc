from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.questions import drawn_pairs, read_pairs, varied


def test_pairs_are_given_over_and_over_with_other_numbers() -> None:
    given = [("How many are 12 and 3?", "12 and 3 are 15."), ("Why?", "So.")]
    found = list(varied(given, 5))
    assert [pair for pair in found if pair[0] == "Why?"] == [("Why?", "So.")] * 2
    shape = re.compile(r"How many are \d\d and \d\?")
    numbered = [question for question, _ in found if shape.fullmatch(question)]
    assert len(set(numbered)) > 1
    assert list(varied(given, 5)) == found


def test_drawn_pairs_are_as_long_as_real_ones() -> None:
    pairs = drawn_pairs(500)
    questions, answers = zip(*pairs, strict=True)
    assert 190 < sum(map(len, questions)) / 500 < 280
    assert 235 < sum(map(len, answers)) / 500 < 345


def test_pairs_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"question": "a", "answer": "b"}) + "\n", encoding="utf-8")
    assert read_pairs(path) == [("a", "b")]

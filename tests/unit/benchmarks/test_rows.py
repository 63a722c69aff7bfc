from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest
from benchmarks import rows as benchmark_rows
from benchmarks.rows import EOS_ID, LONGEST, SHORTEST, Row, digest, draw_rows, grouped, write_texts
from hypothesis import given
from hypothesis import strategies as st

from lorafw.types import IGNORE_INDEX


def test_ignored_labels_are_those_of_lorafw() -> None:
    assert benchmark_rows.IGNORE_INDEX == IGNORE_INDEX


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_rows_are_a_prompt_and_a_trained_response(seed: int, count: int) -> None:
    for row in draw_rows(count, seed):
        length = len(row.ids)
        assert SHORTEST <= length <= LONGEST
        assert row.ids[-1] == EOS_ID
        assert row.ids.count(EOS_ID) == 1
        assert row.labels.count(IGNORE_INDEX) == length * 2 // 5
        assert [a for a, b in zip(row.ids, row.labels, strict=True) if b != IGNORE_INDEX] == list(
            row.response
        )


def test_lengths_have_the_median_that_is_told() -> None:
    lengths = [len(row.ids) for row in draw_rows(4000)]
    assert median(lengths) == pytest.approx(benchmark_rows.MEDIAN, rel=0.05)


def test_grouping_keeps_the_first_step_and_the_set_of_rows() -> None:
    rows = draw_rows(32)
    by_length = grouped(rows)
    assert by_length[:8] == rows[:8]
    assert sorted(by_length, key=repr) == sorted(rows, key=repr)
    lengths = [len(row.ids) for row in by_length[8:]]
    assert lengths == sorted(lengths, reverse=True)


def test_a_digest_tells_apart_ids_labels_and_order() -> None:
    first, second = draw_rows(2)
    pairs = [(row.ids, row.labels) for row in (first, second)]
    others = [pairs[::-1], [(first.ids, first.ids), pairs[1]], pairs[:1]]
    assert digest(pairs) == digest(iter(pairs))
    assert digest(pairs) not in {digest(other) for other in others}


def test_lines_stand_where_the_order_visits_them(tmp_path: Path) -> None:
    rows = [Row((number,), (number, EOS_ID)) for number in (3, 4, 5)]
    path = tmp_path / "rows.jsonl"
    write_texts(rows, path, order=[2, 0, 1])
    prompts = [json.loads(line)["prompt"] for line in path.read_text().splitlines()]
    assert [prompts[line] for line in (2, 0, 1)] == ["w3", "w4", "w5"]

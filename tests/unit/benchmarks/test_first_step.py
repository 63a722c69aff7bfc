from __future__ import annotations

import json
from pathlib import Path

from benchmarks.first_step import ROWS, _first_step, write_rows


def test_the_first_step_has_the_time_that_the_log_gives_it(tmp_path: Path) -> None:
    at = "1970-01-01T00:01:{:02}.5+00:00"
    told = [("fit_start", 3), ("step_end", 4), ("step_end", 9)]
    lines = [json.dumps({"time": at.format(second), "event": event}) for event, second in told]
    (tmp_path / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert _first_step(tmp_path / "events.jsonl") == 64.5


def test_rows_are_questions_and_answers(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == ROWS
    assert all(set(row) == {"question", "answer"} for row in rows)

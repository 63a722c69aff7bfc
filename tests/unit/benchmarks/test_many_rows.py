from __future__ import annotations

import json
from pathlib import Path

from benchmarks.many_rows import DIFFERENT, SHORT, write_many, write_of_length


def _lengths(path: Path) -> list[int]:
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [len(f"{row['prompt']} {row['response']}".split()) + 1 for row in rows]


def test_there_are_as_many_short_rows_as_wanted(tmp_path: Path) -> None:
    write_many(tmp_path / "rows", DIFFERENT + 7, 1000)
    lengths = _lengths(tmp_path / "rows")
    assert len(lengths) == DIFFERENT + 7
    assert (min(lengths), max(lengths)) == SHORT


def test_rows_are_as_long_as_wanted(tmp_path: Path) -> None:
    write_of_length(tmp_path / "rows", 3, 128, 1000)
    assert _lengths(tmp_path / "rows") == [128] * 3
    assert len(set((tmp_path / "rows").read_text().splitlines())) == 3

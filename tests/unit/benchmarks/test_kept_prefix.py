"""What is read from a kept prefix is what was kept, and its cost is told."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kept_prefix import LENGTH, ROWS, WIDTH, measure


def test_all_rows_are_kept_and_the_file_is_gone(tmp_path: Path) -> None:
    cost = measure(10 * ROWS, 5, tmp_path)
    assert cost.file_megabytes == 10 * ROWS * LENGTH * WIDTH * 2 / 1e6
    assert cost.microseconds > 0
    assert not list(tmp_path.iterdir())

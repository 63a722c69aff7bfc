from __future__ import annotations

from pathlib import Path

from benchmarks.plot import Panel, write_bars, write_lines

PANELS = [Panel[float]("speed", float), Panel[float]("half", lambda row: row / 2)]


def test_bars_are_drawn_and_labelled(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.svg", "Title", {"ours": 4321.0, "theirs": 1.0}, PANELS)
    told = (tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert told.count("<!-- ours -->") == 1
    assert "<!-- half -->" in told
    assert "<!-- 4,321 -->" in told


def test_lines_are_drawn(tmp_path: Path) -> None:
    write_lines(tmp_path / "lines.png", "Title", {1000: 2.0, 10: 1.0}, PANELS, over="rows")
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")

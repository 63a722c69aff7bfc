"""A count for what takes longer than one likes to wait."""

from __future__ import annotations

import io
import sys

import pytest

from lorafw.cli import ticker


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("seconds", "told"), [(0.0, True), (60.0, False)])
def test_a_count_is_told_to_those_who_wait(
    monkeypatch: pytest.MonkeyPatch, seconds: float, told: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(ticker, "PATIENCE", seconds)
    monkeypatch.setattr(ticker, "PAUSE", 0.0)
    assert list(ticker.ticking("abc", 1000, "Encoding")) == ["a", "b", "c"]
    text = terminal.getvalue()
    assert ("\rEncoding row 2 of 1,000 …" in text) is told
    assert text.endswith("\r\033[K") is told


def test_a_file_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(ticker, "PATIENCE", 0.0)
    assert list(ticker.ticking([1], 1, "Encoding")) == [1]
    assert file.getvalue() == ""

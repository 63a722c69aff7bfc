"""What a part is for is read from its source; nothing is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorafw.assembly.loading import Entry
from lorafw.assembly.one_line import one_line
from lorafw.assembly.registry import KINDS, Registry


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('raise SystemExit\nclass Part:\n    """In a line.\n\n    More."""\n', "In a line."),
        ("class Part: pass\n", "the summary"),
        ("from elsewhere import Part\n", "the summary"),
        ("class Part(:\n", "the summary"),
    ],
)
def test_docstring_or_summary(write_plugin: Callable[..., Path], source: str, told: str) -> None:
    write_plugin("lorafw-told", {}, {"told_part": source})
    entry = Entry("listener", "told", "told_part:Part", summary="the summary")
    assert one_line(entry) == told
    assert "told_part" not in sys.modules


def test_a_module_that_is_nowhere() -> None:
    assert one_line(Entry("listener", "x", "no_such_module.at_all:X", summary="told")) == "told"


def test_it_is_what_the_part_says_of_itself() -> None:
    registry = Registry()
    checked = 0
    for kind in KINDS:
        for entry in registry.entries(kind):
            if entry.distribution == "lorafw":
                assert one_line(entry) == registry.load(kind, entry.qualified).describe()
                checked += 1
    assert checked >= 8

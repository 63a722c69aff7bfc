"""Long lists are cut, and their length is told."""

from __future__ import annotations

from lorafw.training.guards.wording import listed


def test_few_are_listed_and_of_many_the_first() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(5)) == "0, 1, 2, 3, 4"
    assert listed(range(100)) == "0, 1, 2, 3, 4 and 95 more"

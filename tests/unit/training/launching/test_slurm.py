"""Node lists and task counts of SLURM."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.training.launching.slurm import hosts, tasks_per_node


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n[01-03,07],gpu5", ["n01", "n02", "n03", "n07", "gpu5"]),
        ("one", ["one"]),
        ("a-b[9-11]", ["a-b9", "a-b10", "a-b11"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("x[1-2].lan,y", ["x1.lan", "x2.lan", "y"]),
    ],
)
def test_hosts(text: str, expected: list[str]) -> None:
    assert hosts(text) == expected


@pytest.mark.parametrize("text", ["", "a[1", "a[x-y]", "a,,b", "a[1-]"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        hosts(text)


@given(st.lists(st.integers(0, 999), min_size=1, unique=True).map(sorted), st.integers(1, 3))
def test_any_numbers_of_one_width(numbers: list[int], width: int) -> None:
    written = [str(number).zfill(width) for number in numbers]
    assert hosts(f"node[{','.join(written)}]") == [f"node{number}" for number in written]


def test_tasks_of_each_node() -> None:
    assert tasks_per_node("2(x3),1") == [2, 2, 2, 1]
    with pytest.raises(ValueError, match="does not count"):
        tasks_per_node("two")

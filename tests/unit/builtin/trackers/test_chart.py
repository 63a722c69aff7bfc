"""Charts have round ticks around all values, and lines that are thin but lose no peak."""

from __future__ import annotations

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.builtin.trackers._chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    chart,
)
from lorafw.builtin.trackers._history import Curve

VALUES = st.floats(-1e30, 1e30, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-30)


def curve(values: list[float], first: int = 1) -> Curve:
    found = Curve()
    for step, value in enumerate(values, first):
        found.add(step, value)
    return found


def drawn(values: list[float], first: int = 1) -> Chart:
    found = chart("Loss", {"training": curve(values, first)})
    assert found is not None
    return found


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+) (\S+)", path)]


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=30), st.integers(0, 10**6))
def test_every_point_lies_within_the_frame(values: list[float], first: int) -> None:
    (line,) = drawn(values, first).lines
    for x, y in [*places(line.path), *line.dots]:
        assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=30))
def test_there_are_a_few_ticks(values: list[float]) -> None:
    found = drawn(values)
    assert 2 <= len(found.up) <= 7
    assert [tick.at for tick in found.up] == sorted((t.at for t in found.up), reverse=True)


def test_ticks_are_round() -> None:
    found = drawn([0.43, 5.1, 2.2])
    assert [tick.label for tick in found.up] == ["0", "2", "4", "6"]
    assert [tick.label for tick in found.across] == ["1", "2", "3"]


def test_small_values_have_ticks_that_differ() -> None:
    labels = [tick.label for tick in drawn([1e-5, 2e-5, 3e-5]).up]
    assert labels == ["1e-05", "1.5e-05", "2e-05", "2.5e-05", "3e-05"]


def test_a_long_line_is_thinned_but_keeps_its_peaks() -> None:
    values = [math.sin(step / 50) for step in range(20_000)]
    values[12_345] = 9.0
    (line,) = drawn(values).lines
    shown = places(line.path)
    assert len(shown) <= MOST_POINTS
    assert [x for x, _ in shown] == sorted(x for x, _ in shown)
    assert min(y for _, y in shown) < TOP + (HEIGHT - BOTTOM - TOP) / 4
    assert line.dots == ()


def test_a_single_point_is_a_dot() -> None:
    (line,) = drawn([2.0]).lines
    assert len(line.dots) == 1


def test_nothing_finite_is_nothing_to_draw() -> None:
    assert chart("Loss", {"training": curve([math.nan, math.inf])}) is None
    assert chart("Loss", {}) is None


def test_a_line_without_a_number_is_left_out() -> None:
    found = chart("Loss", {"training": curve([1.0]), "held out": curve([math.nan])})
    assert found is not None
    assert [line.name for line in found.lines] == ["training"]

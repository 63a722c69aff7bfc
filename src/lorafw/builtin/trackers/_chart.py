"""A line chart as numbers that a page can draw: ticks, and paths of thinned lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorafw.builtin.trackers._history import Curve

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 34
KINDS = "abcdefgh"
"""What lines look like, in turn."""
MOST_POINTS = 600
"""Points of a line; more cannot be told apart at this width."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in units of the drawing, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its name, its path in SVG's language, its dots if they are few, and in words."""

    name: str
    path: str
    dots: tuple[Point, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of some lines, over the steps or whatever else `along` says."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    along: str = "step"


def chart(title: str, curves: Mapping[str, Curve], stages: Sequence[str] = ()) -> Chart | None:
    """The chart of some curves by name; None where there is no finite number to draw.

    Args:
        title: of the chart.
        curves: by name.
        stages: what steps stand for, counted from 0, where they are no steps.
    """
    points = {name: _finite(curve) for name, curve in curves.items()}
    every = [point for line in points.values() for point in line]
    if not every:
        return None
    steps, values = zip(*every, strict=True)
    across, up = _scale(steps, whole=True), _scale(values)
    first, last = min(steps), max(steps)
    place = _Place(first if first < last else first - 1, last, up[0], up[-1])
    if stages:
        ticks = [Tick(place.x(at), shortened(name, len(stages))) for at, name in enumerate(stages)]
    else:
        ticks = [Tick(place.x(at), f"{at:,.0f}") for at in across if first <= at <= last]
    return Chart(
        title,
        tuple(_line(name, curves[name], place, stages) for name, found in points.items() if found),
        tuple(ticks),
        tuple(Tick(place.y(at), f"{at:.6g}") for at in up),
        "stage" if stages else "step",
    )


def shortened(name: str, places: int) -> str:
    """A name that fits where so many stand side by side."""
    most = max(3, int((WIDTH - LEFT - RIGHT) / places / 7.5))
    return name if len(name) <= most else name[: most - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where steps and values lie in the drawing."""

    first: float
    last: float
    low: float
    high: float

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _finite(curve: Curve) -> list[Point]:
    pairs = zip(curve.steps, curve.values, strict=True)
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def _line(name: str, curve: Curve, place: _Place, stages: Sequence[str]) -> Line:
    pairs = list(zip(curve.steps, curve.values, strict=True))
    parts = [
        [(place.x(step), place.y(value)) for step, value in _thinned(run)] for run in _runs(pairs)
    ]
    path = " ".join("M" + " L".join(f"{x} {y}" for x, y in part) for part in parts)
    # A dot for each point while they are few; a point alone would leave no line to see.
    dots = [point for part in parts if len(part) == 1 or len(pairs) <= 50 for point in part]
    return Line(name, path, tuple(dots), _in_words(_finite(curve), stages))


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Stretches of finite values: a line has a gap where a value is not a number."""
    run: list[Point] = []
    for point in points:
        if math.isfinite(point[1]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _thinned(points: list[Point]) -> list[Point]:
    """At most `MOST_POINTS` of them: the lowest and the highest of each stretch."""
    if len(points) <= MOST_POINTS:
        return points
    kept: list[Point] = []
    stretches = MOST_POINTS // 2
    for index in range(stretches):
        stretch = points[index * len(points) // stretches : (index + 1) * len(points) // stretches]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _scale(values: Sequence[float], *, whole: bool = False) -> list[float]:
    """About five round numbers, the first not above and the last not below all values."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (
            (low - 1, high) if whole else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
        )
    step = _round_step((high - low) / 4)
    step = max(1.0, step) if whole else step
    slack = 1e-9  # 3e-5 is six times 5e-6, whatever floats make of it
    first, last = math.floor(low / step + slack), math.ceil(high / step - slack)
    return [count * step for count in range(first, last + 1)]


def _round_step(step: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(nice for nice in (1, 2, 5, 10) if nice * power >= step * 0.999)


def _in_words(points: Sequence[Point], stages: Sequence[str]) -> str:
    """What a reader who does not see the line should know of it."""
    low = min(points, key=lambda point: point[1])
    told = [("", points[0]), ("", points[-1]), ("lowest ", low)]
    return ", ".join(f"{what}{value:.4g} at {_where(at, stages)}" for what, (at, value) in told)


def _where(at: float, stages: Sequence[str]) -> str:
    return stages[int(at)] if stages else f"step {at:,.0f}"

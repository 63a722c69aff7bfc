"""curves.png shows the curves, and needs neither pyplot nor a display."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread
from tests.unit.builtin.trackers.story import Story, broken_off, resumed, whole

from lorafw.builtin.trackers._history import Curve
from lorafw.builtin.trackers.plot import FILE, PANELS, Plot, draw
from lorafw.errors import LorafwError


def curve(*points: tuple[int, float]) -> Curve:
    found = Curve()
    for point in points:
        found.add(*point)
    return found


def test_a_panel_for_each_figure() -> None:
    curves = {
        "train/loss": curve((1, 2.0), (2, 1.0)),
        "eval/loss": curve((0, 3.0), (2, 1.5)),
        "train/learning_rate": curve((1, 1e-3), (2, 1e-4)),
    }
    loss, rate, norm = draw({"train": curves}).axes
    assert [axes.get_ylabel() for axes in (loss, rate, norm)] == list(PANELS)
    assert [list(line.get_xdata()) for line in loss.lines] == [[1, 2], [0, 2]]
    assert [line.get_label() for line in loss.lines] == ["training", "held out"]
    assert [list(line.get_ydata()) for line in rate.lines] == [[1e-3, 1e-4]]
    assert norm.lines[:] == []


def test_a_column_for_each_stage() -> None:
    figure = draw({"first": {"train/loss": curve((1, 2.0))}, "second": {}})
    assert len(figure.axes) == 2 * len(PANELS)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["first", "second"]


def test_a_finished_run_leaves_a_picture(tmp_path: Path) -> None:
    whole(Plot(), tmp_path)
    assert imread(tmp_path / FILE).shape[:2] == (1200, 1200)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_failed_run_leaves_one_too(tmp_path: Path) -> None:
    Story(Plot(), tmp_path).begin().step(1).fail()
    assert (tmp_path / FILE).exists()


def test_a_resume_that_is_refused_leaves_the_picture(tmp_path: Path) -> None:
    broken_off(Plot(), tmp_path)
    before = (tmp_path / FILE).read_bytes()
    refused = Story(Plot(), tmp_path)
    refused.tell("run_start", folder=tmp_path, config={})
    refused.fail("the data changed.")
    assert (tmp_path / FILE).read_bytes() == before
    resumed(Plot(), tmp_path)
    assert (tmp_path / FILE).read_bytes() != before


def test_pyplot_is_left_alone() -> None:
    told = "from lorafw.builtin.trackers.plot import draw; draw({}); import sys; "
    asked = "print('matplotlib.pyplot' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", told + asked], capture_output=True, check=True)
    assert found.stdout.split() == [b"False"]


def test_without_matplotlib_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorafw.builtin.trackers._packages.find_spec", lambda _: None)
    with pytest.raises(LorafwError, match=r"pip install 'lorafw\[plots\]'"):
        Plot().preflight()

"""The console shows a bar on a terminal and a few plain lines elsewhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console as RichConsole

from lorafw.assembly.hooks import Announcer
from lorafw.builtin._progress import Live, Pace, Plain
from lorafw.builtin.console import Console


def step(number: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "step": number,
        "steps": 4,
        "epoch": number / 4,
        "loss": 4.0 / number,
        "grad_norm": 1.0,
        "learning_rate": 1e-3,
        "tokens": 100,
        "seconds": 0.5,
        "skipped": False,
    }
    return {**plain, **changes}


def end(why: str, **values: float) -> dict[str, Any]:
    return {"ended": why, "best_step": 2, "best_figure": 2.0, **values}


def tell(announce: Announcer) -> None:
    announce("run_start", folder=Path("runs/x"), config={})
    announce("notice", message="2 rows were [cut].")
    announce("stage_start", stage="train")
    announce("evaluation_end", step=0, figures={"loss": 5.0, "accuracy": 0.25}, best=False)
    announce("fit_start", steps=4, start=0, rows=32, trainable=1000, parameters=50_000)
    for number in range(1, 5):
        announce("step_end", **step(number))
    announce("evaluation_end", step=2, figures={"loss": 2.0}, best=True)
    announce("fit_end", loss=1.0, **end("early stopping", steps=4, seconds=2.0))
    announce("export_end", exporter="adapter", path=Path("runs/x/adapter"))
    announce("run_end", folder=Path("runs/x"), result={})


def test_plain_lines() -> None:
    stream = io.StringIO()
    tell(Announcer([Plain(stream, interval=3600)]))
    assert stream.getvalue().splitlines() == [
        "Run folder: runs/x",
        "Notice: 2 rows were [cut].",
        "Stage: train",
        "Held out, step 0: loss 5, accuracy 0.25",
        "Training 1,000 of 50,000 parameters on 32 rows, 4 steps.",
        "Step 1/4: loss 4.0000, 200 tokens/s, 0:02 left",
        "Step 4/4: loss 1.0000, 200 tokens/s, 0:00 left",
        "Held out, step 2: loss 2 (best so far)",
        "Stopped early: evaluations showed no progress. The best step was 2.",
        "Exported adapter: runs/x/adapter",
    ]


def test_plain_lines_come_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 4.0, 6.0, 8.0])
    monkeypatch.setattr("lorafw.builtin._progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    announce = Announcer([Plain(stream, interval=5)])
    for number in range(1, 5):
        announce("step_end", **step(number, steps=9))
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()] == [
        "Step 1/9",
        "Step 3/9",
    ]


def test_encoded_rows_are_counted_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 4.0, 6.0, 6.5])
    monkeypatch.setattr("lorafw.builtin._progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    announce = Announcer([Plain(stream, interval=5)])
    for done in (1000, 2000, 3000):
        announce("rows_encoded", done=done, total=3500)
    announce("fit_start", steps=4, start=0, rows=32, trainable=1000, parameters=50_000)
    announce("step_end", **step(1))
    assert [line[:24] for line in stream.getvalue().splitlines()] == [
        "Encoded 1,000 of 3,500 r",
        "Encoded 3,000 of 3,500 r",
        "Training 1,000 of 50,000",
        "Step 1/4: loss 4.0000, 2",
    ]


def test_the_bar_counts_encoded_rows() -> None:
    stream = io.StringIO()
    console = RichConsole(file=stream, force_terminal=True, width=120, color_system=None)
    announce = Announcer([Live(console)])
    announce("stage_start", stage="data")
    announce("rows_encoded", done=1000, total=3500)
    announce("run_failed", error="x")
    assert "1000/3500 rows encoded" in stream.getvalue()


def test_the_bar_shows_figures_and_leaves_the_lines() -> None:
    stream = io.StringIO()
    console = RichConsole(file=stream, force_terminal=True, width=120, color_system=None)
    live = Live(console)
    tell(Announcer([live]))
    shown = stream.getvalue()
    assert "loss 1.0000  200 tokens/s  0:00 left" in shown
    assert "4/4" in shown
    for line in (
        "2 rows were [cut].",
        "loss 5, accuracy 0.25",
        "Stopped early",
        "last loss 1.0000.",
    ):
        assert line in shown
    assert not live._bar.live.is_started


def test_a_fit_without_a_step_has_no_loss() -> None:
    stream = io.StringIO()
    announce = Announcer([Live(RichConsole(file=stream, width=120))])
    announce("fit_end", loss=None, **end("finished", steps=4, seconds=0.0))
    assert stream.getvalue() == "Trained 4 steps in 0.0 s.\n"


def test_the_bar_ends_with_a_failed_run() -> None:
    live = Live(RichConsole(file=io.StringIO(), force_terminal=True))
    announce = Announcer([live])
    announce("stage_start", stage="data")
    assert live._bar.live.is_started
    announce("run_failed", error="x")
    assert not live._bar.live.is_started


@pytest.mark.parametrize(("terminal", "kind"), [(True, Live), (False, Plain)])
def test_stderr_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, terminal: bool, kind: type
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert isinstance(Console().open(tmp_path), kind)


def test_pace_is_a_moving_average() -> None:
    pace = Pace()
    assert pace.left(10) == "-:--"
    pace.add(tokens=100, seconds=0.0)
    assert pace.left(10) == "-:--"
    pace.add(tokens=100, seconds=1.0)
    pace.add(tokens=100, seconds=2.0)
    assert pace.tokens_per_second == pytest.approx(0.9 * 100 + 0.1 * 50)
    assert pace.left(10) == "0:11"
    assert pace.left(10_000) == "3:03:20"

"""What pictures and pages are made from: the run as it is now, earlier processes included."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.builtin.trackers.story import NOTICE, SECRETS, Story, broken_off, resumed

from lorafw.assembly.hooks import Announcer
from lorafw.builtin.event_log import EventLog
from lorafw.builtin.trackers._history import Curve, History
from lorafw.contracts import Listener


class Shown(History):
    shown = 0

    def show(self) -> None:
        self.shown += 1


class Remembering(Listener):
    """Keeps the history it opened last."""

    def open(self, folder: Path) -> Shown:
        opened.append(Shown(folder))
        return opened[-1]


opened: list[Shown] = []


def points(history: History, name: str) -> list[tuple[int, float]]:
    curve = history.curves["train"][name]
    return list(zip(curve.steps, curve.values, strict=True))


def test_a_resumed_run_knows_what_was_before(tmp_path: Path) -> None:
    broken_off(EventLog(), tmp_path)
    resumed(Remembering(), tmp_path)
    history = opened[-1]
    assert points(history, "train/loss") == [(s, pytest.approx(4 / s)) for s in (1, 2, 3, 4)]
    assert points(history, "eval/loss") == [(0, 3.5), (2, 2.5), (4, 1.5)]
    assert history.resumed == [2]
    assert list(history.notices) == [NOTICE]
    assert history.error is None


def test_a_run_that_starts_over_does_not(tmp_path: Path) -> None:
    Story(EventLog(), tmp_path).begin().step(1).step(2).fail()
    Story(Remembering(), tmp_path).begin().step(1)
    assert points(opened[-1], "train/loss") == [(1, 4.0)]


def test_numbers_that_are_none_are_remembered_as_such(tmp_path: Path) -> None:
    Story(EventLog(), tmp_path).begin().step(1, loss=float("nan")).checkpoint(1).fail()
    Story(Remembering(), tmp_path).begin(start=1)
    ((step, value),) = points(opened[-1], "train/loss")
    assert (step, value != value) == (1, True)


def test_a_line_that_a_killed_process_left_in_pieces_is_passed_over(tmp_path: Path) -> None:
    broken_off(EventLog(), tmp_path)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "step_end", "step": 4, "lo')
    resumed(Remembering(), tmp_path)
    assert points(opened[-1], "train/loss")[-1] == (4, 1.0)


def test_no_secret_is_remembered(tmp_path: Path) -> None:
    story = Story(Remembering(), tmp_path).begin()
    story.tell("notice", message=f"https://{SECRETS[1]}@host failed")
    story.fail(f"https://{SECRETS[1]}@host failed")
    history = opened[-1]
    remembered = str((history.config, list(history.notices), history.error))
    assert not [secret for secret in SECRETS if secret in remembered]


def test_showing_takes_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))  # a second from each look at it to the next: a showing takes one
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    announce = Announcer([history := Shown(tmp_path)])
    for step in range(60):
        announce("evaluation_end", step=step, figures={"loss": 1.0}, best=False)
    assert history.shown == 3


def test_a_point_takes_the_place_of_those_from_its_step_on() -> None:
    curve = Curve()
    for step, value in [(1, 1.0), (2, 2.0), (3, 3.0), (2, 5.0)]:
        curve.add(step, value)
    assert (list(curve.steps), list(curve.values)) == ([1, 2], [1.0, 5.0])

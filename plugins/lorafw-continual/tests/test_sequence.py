"""In which order tasks are trained, what with, and when which of them is scored."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lorafw.contracts import FitResult, Scenario, Task
from lorafw.testing.recording_session import RecordingSession
from lorafw.types import Encoded
from lorafw_continual._router import Router
from lorafw_continual.joint import together
from lorafw_continual.replay import Replay
from lorafw_continual.sequential import Sequential

NAMES = ["first", "second", "third"]


class Watching(RecordingSession):
    """Also keeps what each stage was trained on."""

    def __init__(self) -> None:
        super().__init__(several=True)
        self.trained: dict[str, Task] = {}

    def fit(self, stage: str, *, task: Task | None = None, **others: Any) -> FitResult:
        assert task is not None
        self.trained[stage] = task
        return super().fit(stage, task=task, **others)


def _calls(scenario: Scenario, kind: str) -> list[tuple[str, ...]]:
    session = RecordingSession(several=True)
    scenario.run(session)
    return [call[1:] for call in session.calls if call[0] == kind]


def _rows(count: int, start: int) -> list[Encoded]:
    return [Encoded([start + at], [start + at]) for at in range(count)]


def test_every_task_is_scored_before_all_and_after_each() -> None:
    stages = ["before", *NAMES]
    wanted = [(stage, task) for stage in stages for task in NAMES]
    assert _calls(Sequential(), "score") == wanted


def test_only_tasks_that_were_trained_are_scored_if_so_asked() -> None:
    wanted = [(stage, task) for at, stage in enumerate(NAMES) for task in NAMES[: at + 1]]
    assert _calls(Sequential(score="seen"), "score") == wanted
    assert _calls(Sequential(score="none"), "score") == []


def test_a_task_without_held_out_rows_is_trained_and_not_scored() -> None:
    session = RecordingSession(several=True)
    session.tasks = [Task("bare", _rows(2, 1)), *session.tasks]
    Sequential().run(session)
    assert ("fit", "bare", "bare") in session.calls
    assert {call[2] for call in session.calls if call[0] == "score"} == set(NAMES)


def test_an_order_is_drawn_by_its_seed() -> None:
    orders = {
        tuple(stage for stage, _ in _calls(Sequential(order_seed=seed), "fit"))
        for seed in range(40)
    }
    assert len(orders) == 6
    assert all(sorted(order) == sorted(NAMES) for order in orders)
    once, again = (_calls(Sequential(order_seed=1), "score") for _ in range(2))
    assert once == again


def test_together_tasks_keep_their_own_epochs() -> None:
    tasks = [Task("a", _rows(2, 0), _rows(1, 9), 2), Task("b", _rows(3, 5), _rows(1, 8), 4)]
    joint = together(tasks)
    ids = sorted(row.input_ids[0] for row in joint.rows)
    assert (joint.epochs, ids) == (2, [0, 1, 5, 5, 6, 6, 7, 7])
    assert [row.input_ids[0] for row in joint.eval_rows] == [9, 8]


def test_replay_mixes_the_same_rows_of_each_earlier_task_into_every_later_one() -> None:
    session = Watching()
    Replay(memory=2).run(session)
    own = [list(task.rows) for task in session.tasks]
    again = {name: list(task.rows)[4:] for name, task in session.trained.items()}
    assert [list(task.rows)[:4] for task in session.trained.values()] == own
    assert again["first"] == []
    assert len(again["second"]) == 2
    assert again["third"][:2] == again["second"]
    assert all(row in own[0] for row in again["second"])
    assert all(row in own[1] for row in again["third"][2:])


def test_a_ratio_is_of_the_earlier_tasks_rows_and_at_least_one() -> None:
    counts = {}
    for ratio in (0.01, 0.5):
        session = Watching()
        Replay(ratio=ratio).run(session)
        counts[ratio] = [len(task.rows) for task in session.trained.values()]
    assert counts == {0.01: [4, 5, 6], 0.5: [4, 6, 8]}


def test_replay_after_a_task_is_one_pass_over_what_is_stored() -> None:
    session = Watching()
    Replay(memory=2, after=True).run(session)
    sizes = {stage: len(task.rows) for stage, task in session.trained.items()}
    wanted = {"first": 4, "second": 4, "second.replay": 2, "third": 4, "third.replay": 4}
    assert sizes == wanted
    assert session.trained["third.replay"].epochs == 1


@pytest.mark.parametrize("after", [False, True])
def test_general_data_is_replayed_from_the_first_task_on_and_is_no_task(*, after: bool) -> None:
    session = Watching()
    Replay(memory=2, general="second", general_rows=3, after=after).run(session)
    again = [task for stage, task in session.trained.items() if after <= ("replay" in stage)]
    rows = [list(task.rows)[0 if after else 4 :] for task in again]
    general = session.tasks[1].rows
    assert [len(each) for each in rows] == [3, 5]
    assert rows[0] == rows[1][:3]
    assert all(row in general for row in rows[0])
    assert all(row in session.tasks[0].rows for row in rows[1][3:])
    assert session.notes["general"] == "second"
    learned = [stage for stage in session.trained if "replay" not in stage]
    assert learned == ["first", "third"]


def test_all_of_the_general_data_is_replayed_unless_said_otherwise() -> None:
    session = Watching()
    Replay(general="third", after=True).run(session)
    assert list(session.trained["first.replay"].rows) == list(session.tasks[2].rows)


def test_general_data_is_scored_beside_the_tasks() -> None:
    stages = ["before", "first", "third"]
    wanted = [(stage, task) for stage in stages for task in ("first", "third", "second")]
    assert _calls(Replay(general="second"), "score") == wanted
    seen = [("first", "first"), ("first", "second")]
    assert _calls(Replay(general="second", score="seen"), "score")[:2] == seen
    assert _calls(Replay(general="second", score="none"), "score") == []


def test_general_data_leaves_a_drawn_order_alone() -> None:
    session = RecordingSession(several=True)
    session.tasks = [Task("general", _rows(2, 1)), *session.tasks]
    for seed in range(9):
        with_it, without = Replay(general="general", order_seed=seed), Replay(order_seed=seed)
        order = [task.name for task in with_it.in_order(session)]
        assert order == [t.name for t in without.in_order(RecordingSession(several=True))]


def test_the_router_takes_the_task_whose_mean_prompt_is_nearest_by_the_cosine() -> None:
    session = RecordingSession(several=True)
    router = Router(session, {}, rows=4)
    for task in session.tasks:
        router.learn(task)
    directions = torch.tensor([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]])  # as the session embeds them
    assert router.choose(directions * 7) == NAMES
    assert router.accuracies(session.tasks) == dict.fromkeys(NAMES, 1.0)

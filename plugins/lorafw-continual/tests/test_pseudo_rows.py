"""LFPT5 draws rows of every earlier task, and trains them beside the new ones in both forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lorafw.contracts import FitResult, Task
from lorafw.errors import CompositionError
from lorafw.testing.recording_session import RecordingSession
from lorafw.types import IGNORE_INDEX, Encoded
from lorafw_continual._generated_form import Form
from lorafw_continual._generator_loss import Generating
from lorafw_continual.lfpt5 import LFPT5

NAMES = ("first", "second", "third")
END = 2


def _row(first: int, at: int) -> Encoded:
    return Encoded([first, 7, 9 + at, END], [IGNORE_INDEX] * 2 + [9 + at, END])


class Remembering(RecordingSession):
    """Generates rows it was trained on, every third one torn, and keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(several=True)
        self.tasks = [
            Task(name, [_row(at + 3, row) for row in range(8)]) for at, name in enumerate(NAMES)
        ]
        self.trained: dict[str, list[Encoded]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.held: dict[str, set[tuple[int, ...]]] = {}
        self.at_most = 1024

    def longest(self, task: Task) -> int:
        del task
        return self.at_most

    def form(self, name: str) -> Form:
        return Form.of(name, " __ans__ ", self.model.bundle.tokenizer, self.at_most)

    def fit(
        self, stage: str, *, task: Task | None = None, objective: Any = None, **others: Any
    ) -> FitResult:
        assert task is not None
        assert isinstance(objective, Generating)
        self.trained[stage] = list(task.rows)
        self.held[stage] = set(objective._pseudo)
        return super().fit(stage, task=task, objective=objective, **others)

    def draw(self, name: str, prompts: Sequence[Encoded], **wishes: Any) -> list[list[int]]:
        of = name.split("/")[1]
        form, (task,) = self.form(of), [task for task in self.tasks if task.name == of]
        assert [tuple(row.input_ids) for row in prompts] == [form.mark] * len(prompts)
        self.asked[name] = {"count": len(prompts), **wishes}
        whole = [list(form.written(task.rows[at]).input_ids) for at in range(len(prompts))]
        return [ids[len(form.mark) : None if at % 3 else -1] for at, ids in enumerate(whole)]


@pytest.fixture
def session() -> Remembering:
    found = Remembering()
    LFPT5(pseudo_rows=5, score="none").run(found)
    return found


def test_every_row_is_trained_in_both_forms(session: Remembering) -> None:
    for name, rows in session.trained.items():
        (task,) = [task for task in session.tasks if task.name == name]
        for row in task.rows:
            assert row in rows
            assert session.form(name).written(row) in rows
    assert len(session.trained["first"]) == 2 * 8


def test_rows_of_every_earlier_task_are_drawn_before_a_task(session: Remembering) -> None:
    kept = {name: [_row(at + 3, row) for row in (1, 2, 4)] for at, name in enumerate(NAMES)}
    assert list(session.asked) == ["second/first", "third/first", "third/second"]
    for name in ("first", "second"):
        for row in kept[name]:
            assert row in session.trained["third"]
            assert session.form(name).written(row) in session.trained["third"]
    assert len(session.trained["third"]) == 2 * (8 + 3 + 3)
    assert session.held["first"] == set()
    pseudo = {tuple(row.input_ids) for name in NAMES[:2] for row in kept[name]}
    assert session.held["third"] == pseudo
    told = {"drawn": 5, "kept": 3}
    assert session.notes["pseudo_rows"] == {
        "second": {"first": told},
        "third": {"first": told, "second": told},
    }


def test_draws_are_as_long_as_rows_and_end_as_they_do(session: Remembering) -> None:
    form = session.form("first")
    asked = session.asked["second/first"]
    assert asked["new_tokens"] == len(form.separator) + 4
    assert (asked["ends"], asked["top_k"], asked["temperature"]) == ((END,), 64, 1.0)


def test_written_rows_are_no_longer_than_others_may_be() -> None:
    session = Remembering()
    session.at_most = len("__second__ __ans__ ") + 3  # rows have 4
    LFPT5(pseudo_rows=5, score="none").run(session)
    assert max(len(row.input_ids) for row in session.trained["second"]) == session.at_most
    assert session.asked["third/second"]["new_tokens"] == len(" __ans__ ") + 3
    assert session.notes["pseudo_rows"]["third"]["second"]["kept"] == 3


def test_a_draw_goes_on_where_prompts_have_the_end_inside() -> None:
    session = Remembering()
    turns = [Encoded([3, END, 7, 9, END], [IGNORE_INDEX] * 3 + [9, END])] * 4
    session.tasks = [Task("first", turns), *session.tasks[1:]]
    LFPT5(pseudo_rows=2, score="none").run(session)
    assert session.asked["second/first"]["ends"] == ()
    assert session.notes["pseudo_rows"]["second"] == {"first": {"drawn": 2, "kept": 1}}


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([3, 7, 9, END], r"row 3 of 4 is trained from its start.*train_on: response"),
        (
            [IGNORE_INDEX, 7, IGNORE_INDEX, END],
            r"row 3 of 4 is trained in several places.*train_on: last",
        ),
        ([IGNORE_INDEX, 7, 9, IGNORE_INDEX], r"row 3 of 4 goes on behind what is trained"),
    ],
    ids=["all of it", "several answers", "something behind the answer"],
)
def test_rows_without_one_answer_at_their_end_are_refused(labels: list[int], fault: str) -> None:
    session = Remembering()
    odd = Encoded([3, 7, 9, END], labels)
    session.tasks[1] = Task("second", [_row(4, 0), _row(4, 1), odd, odd])
    with pytest.raises(CompositionError, match=f"task second: {fault}"):
        LFPT5(pseudo_rows=2, score="none").run(session)
    assert not session.trained


def test_a_ratio_is_of_the_earlier_tasks_rows_and_at_least_one() -> None:
    for ratio, count in ((0.5, 4), (0.01, 1)):
        session = Remembering()
        LFPT5(pseudo_ratio=ratio, score="none").run(session)
        assert session.asked["third/second"]["count"] == count

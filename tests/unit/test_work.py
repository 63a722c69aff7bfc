"""The rows of a run's tasks: each encoded its own way, and all together those of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorafw._work import Work
from lorafw.assembly.compose import compose
from lorafw.assembly.config import RunConfig, resolved
from lorafw.assembly.registry import Registry
from lorafw.data.encoded.packed import lengths_of
from lorafw.errors import LorafwError
from lorafw.testing.toys import WORDS, toy_folder
from lorafw.types import Encoded

FIXTURES = Path(__file__).parents[1] / "fixtures" / "plugins"
COUNTS = {"small": (5, 2), "large": (9, 3)}
Told = list[str]
Begin = Callable[..., Work]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy base, and TRACE's folders with different rows in each."""
    folder = tmp_path_factory.mktemp("inputs")
    toy_folder(folder / "base")
    at = 0
    for task, counts in COUNTS.items():
        (folder / "TRACE" / task).mkdir(parents=True)
        for split, count in zip(("train", "eval", "test"), (*counts, 1), strict=True):
            rows = [{"prompt": words(at + n), "answer": WORDS[n]} for n in range(count)]
            at += count
            (folder / "TRACE" / task / f"{split}.json").write_text(json.dumps(rows))
    return folder


def words(number: int) -> str:
    return " ".join([WORDS[number % 17], WORDS[number // 17], *WORDS[: 1 + number % 3]])


@pytest.fixture
def told() -> Told:
    """What the user is told."""
    return []


@pytest.fixture
def begin(inputs: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> Begin:
    monkeypatch.syspath_prepend(FIXTURES / "toys")

    def emit(event: str, **payload: Any) -> None:
        if event == "notice":
            told.append(payload["message"])

    def begin(tasks: Any, **sections: Any) -> Work:
        values = {
            "dataset": {"use": "trace", "path": str(inputs / "TRACE")},
            "model": {"use": "auto", "path": str(inputs / "base")},
            "injector": "full",
            "trainer": "other",
            "encoder": "prompt",
            "scenario": "toy" if tasks else "single",
            "exporters": [],
            **({"tasks": tasks} if tasks else {}),
            **sections,
        }
        registry = Registry()
        config = RunConfig.from_mapping(values, registry)
        work = Work(config, compose(config, registry), emit)
        work.read_data()
        return work

    return begin


def one(begin: Begin, inputs: Path, task: str, **sections: Any) -> Work:
    return begin(None, dataset={"use": "trace", "path": str(inputs / "TRACE" / task)}, **sections)


def same(found: Any, wanted: Any) -> bool:
    def plain(rows: list[Encoded]) -> list[tuple[list[int], list[int]]]:
        return [(list(row.input_ids), list(row.labels)) for row in rows]

    return plain(list(found)) == plain(list(wanted))


def test_every_task_has_the_rows_it_has_alone(begin: Begin, inputs: Path) -> None:
    work = begin(["large", {"name": "small", "epochs": 3, "metrics": ["loss", "exact-match"]}])
    assert [(t.name, t.epochs, tuple(t.metrics)) for t in work.tasks] == [
        ("large", 1, ()),
        ("small", 3, ("loss", "exact-match")),
    ]
    for task in work.tasks:
        (alone,) = one(begin, inputs, task.name).tasks
        assert (len(task.rows), len(task.eval_rows)) == COUNTS[task.name]
        assert same(task.rows, alone.rows)
        assert same(task.eval_rows, alone.eval_rows)


def test_the_runs_rows_are_those_of_all_tasks(begin: Begin) -> None:
    work = begin("large,small")
    rows = work._train.rows
    assert same(rows, [row for task in work.tasks for row in task.rows])
    assert lengths_of(rows) == [len(row.input_ids) for row in rows]
    assert work._train.report.rows == 14
    assert work._held_out is not None
    assert same(work._held_out.rows, [row for task in work.tasks for row in task.eval_rows])


def test_without_tasks_there_is_one(begin: Begin, inputs: Path) -> None:
    work = one(begin, inputs, "small", plan={"epochs": 4})
    (task,) = work.tasks
    assert (task.name, task.epochs, len(task.rows), len(task.eval_rows)) == ("train", 4, 5, 2)
    assert task.rows is work._train.rows


def test_each_has_its_own_encoder_and_says_what_it_cut(begin: Begin, told: Told) -> None:
    short = {"name": "small", "encoder": {"max_length": 8, "separator": " " + words(9) + " "}}
    work = begin(["large", short])
    assert max(lengths_of(work.tasks[1].rows)) == 8
    assert [each.partition(":")[0] for each in told] == ["Task 'small'"] * 2
    assert "3 of 5 rows (train) were longer than max_length 8" in told[0]
    assert set(work._own_encoders()) == {"small"}


def test_the_fingerprint_covers_names_order_epochs_and_rows(begin: Begin) -> None:
    def data(tasks: Any, **sections: Any) -> str:
        return begin(tasks, **sections)._train.fingerprint

    usual = data("large,small")
    assert data(["large", {"name": "small", "epochs": 1}]) == usual
    others = [
        data("small,large"),
        data("large,small", plan={"epochs": [1, 2]}),
        data("large"),
        data(["large", {"name": "small", "encoder": {"separator": " the "}}]),
    ]
    assert len({usual, *others}) == 5


def test_a_row_is_named_by_its_task(begin: Begin) -> None:
    names = begin("large,small")._row_numbers()
    assert [names(row) for row in (0, 8, 9)] == [
        "row 1 of task 'large'",
        "row 9 of task 'large'",
        "row 1 of task 'small'",
    ]


def own(name: str, folder: Path, row: dict[str, str]) -> dict[str, Any]:
    """A task with a data set of its own: one row, nothing held out."""
    (folder / "rows.jsonl").write_text(json.dumps(row))
    dataset = {"use": "jsonl", "path": str(folder / "rows.jsonl"), "eval_fraction": 0}
    return {"name": name, "dataset": dataset}


def test_a_task_without_held_out_rows_is_named_where_they_decide(
    begin: Begin, tmp_path: Path
) -> None:
    tasks = ["large", own("alone", tmp_path, {"prompt": "the", "response": "cat"})]
    assert len(begin(tasks).tasks[1].eval_rows) == 0
    plan = {"export_best": True, "evaluate_every": "epoch"}
    with pytest.raises(LorafwError, match=r"plan.export_best: Task 'alone': there are no held-out"):
        begin(tasks, plan=plan)


def test_a_task_without_rows_is_named(begin: Begin, tmp_path: Path) -> None:
    tasks = ["large", own("empty", tmp_path, {"prompt": "the", "response": ""})]
    with pytest.raises(LorafwError, match=r"tasks.1 \('empty'\): none of the 1 row of split"):
        begin(tasks)


def test_a_saved_config_has_the_same_fingerprint(begin: Begin) -> None:
    work = begin(["large", {"name": "small", "encoder": {"max_length": 64}}], plan={"epochs": 2})
    values = resolved(work._config, work._parts)
    again = RunConfig.from_mapping(values, Registry())
    assert compose(again, Registry()).dataset == work._parts.dataset

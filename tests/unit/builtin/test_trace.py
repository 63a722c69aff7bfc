"""TRACE's folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.trace import Trace
from lorafw.errors import ConfigError, DataError
from lorafw.types import PromptExample, Split


def task(folder: Path, **rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, listed in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def pairs(first: int, last: int) -> list[dict[str, Any]]:
    return [{"prompt": f"p{at}", "answer": f"a{at}"} for at in range(first, last)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return task(tmp_path / "FOMC", train=pairs(0, 10), eval=pairs(9, 12), test=pairs(20, 25))


def test_each_file_has_its_part(folder: Path) -> None:
    dataset = Trace(path=folder)
    dataset.preflight()
    assert dataset.produces is PromptExample
    assert dataset.load(Split.TRAIN) == [PromptExample(f"p{at}", f"a{at}") for at in range(9)]
    assert dataset.load(Split.EVAL) == [PromptExample(f"p{at}", f"a{at}") for at in (9, 10, 11)]
    assert dataset.notices() == (
        f"1 row was left out of training: also in {folder / 'eval.json'}.",
    )
    tested = Trace(path=folder, eval_split="test")
    assert len(tested.load(Split.EVAL)) == 5
    assert len(tested.load(Split.TRAIN)) == 10


def test_a_null_answer_is_empty(folder: Path) -> None:
    task(folder, train=[{"prompt": "p", "answer": None}])
    assert Trace(path=folder).load(Split.TRAIN) == [PromptExample("p", "")]


def test_what_is_missing_is_told_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"FOMS is not a folder\. Did you mean 'FOMC'"):
        Trace(path=folder.with_name("FOMS")).preflight()
    (folder / "test.json").unlink()
    Trace(path=folder).preflight()
    (folder / "train.json").unlink()
    with pytest.raises(ConfigError, match=r"has no train\.json and no test\.json"):
        Trace(path=folder, eval_split="test").preflight()
    with pytest.raises(DataError, match=r"train\.json: cannot be read"):
        Trace(path=folder).load(Split.TRAIN)


def test_other_fields_are_an_error(folder: Path) -> None:
    task(folder, train=[{"prompt": "p", "response": "a"}])
    with pytest.raises(DataError, match=r"train\.json:1: the row has no field 'answer'"):
        Trace(path=folder).load(Split.TRAIN)

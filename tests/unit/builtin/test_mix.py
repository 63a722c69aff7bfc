"""Several datasets in given shares."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.mix import Mix
from lorafw.errors import ConfigError, DataError, LorafwError
from lorafw.types import LabeledExample, PromptExample, Split


def part(folder: Path, name: str, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return {"use": "jsonl", "path": str(path), "eval_fraction": 0, **options}


def pairs(name: str, count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"{name} {at}", "response": "r"} for at in range(count)]


def mixed(*parts: dict[str, Any], **options: Any) -> Mix:
    return Mix.from_mapping({"parts": list(parts), **options}, where="dataset")


def drawn(mix: Mix) -> Counter[str]:
    """How many rows to train on come from which part."""
    rows = mix.load(Split.TRAIN)
    return Counter(row.prompt.split()[0] for row in rows if isinstance(row, PromptExample))


def test_without_weights_every_row_comes_once(tmp_path: Path) -> None:
    mix = mixed(part(tmp_path, "a", pairs("a", 30)), part(tmp_path, "b", pairs("b", 10)))
    mix.preflight()
    assert mix.produces is PromptExample
    assert drawn(mix) == {"a": 30, "b": 10}
    assert len(set(mix.load(Split.TRAIN))) == 40
    assert len(mix.origins()) == 2


def test_a_weight_is_a_share_of_the_rows(tmp_path: Path) -> None:
    parts = (
        part(tmp_path, "a", pairs("a", 30), weight=1),
        part(tmp_path, "b", pairs("b", 10), weight=3),
    )
    mix = mixed(*parts)
    assert drawn(mix) == {"a": 10, "b": 30}
    assert set(Counter(mix.load(Split.TRAIN)).values()) == {1, 3}
    assert drawn(mixed(*parts, size=100)) == {"a": 25, "b": 75}
    assert mix.load(Split.TRAIN) == mixed(*parts).load(Split.TRAIN)
    assert mix.load(Split.TRAIN) != mixed(*parts, seed=1).load(Split.TRAIN)


def test_what_one_part_holds_out_no_part_trains_on(tmp_path: Path) -> None:
    both = pairs("a", 40)
    mix = mixed(
        part(tmp_path, "a", both, eval_fraction=0.3), part(tmp_path, "b", [*both, *pairs("b", 5)])
    )
    held_out = mix.load(Split.EVAL)
    assert held_out
    assert len(set(held_out)) == len(held_out)
    assert not set(held_out) & set(mix.load(Split.TRAIN))
    assert drawn(mix) == {"a": 2 * (40 - len(held_out)), "b": 5}


def test_parts_may_be_mixtures(tmp_path: Path) -> None:
    inner = {"use": "mix", "parts": [part(tmp_path, "a", pairs("a", 8))], "weight": 1}
    assert drawn(mixed(inner, part(tmp_path, "b", pairs("b", 8), weight=1))) == {"a": 8, "b": 8}


def test_parts_of_different_kinds_do_not_mix(tmp_path: Path) -> None:
    mix = mixed(part(tmp_path, "a", pairs("a", 3)), part(tmp_path, "b", [{"text": "x"}]))
    with pytest.raises(DataError, match="the parts produce PromptExample and TextExample"):
        _ = mix.produces


def test_classes_must_be_the_same_in_all_parts(tmp_path: Path) -> None:
    rows = [{"text": name, "label": name} for name in ("no", "yes", "maybe")]
    parts = part(tmp_path, "a", rows[:2]), part(tmp_path, "b", rows[1:])
    with pytest.raises(DataError, match=r"different classes.*option `classes`"):
        _ = mixed(*parts).labels
    classes = ["no", "yes", "maybe"]
    mix = mixed(*({**each, "classes": classes} for each in parts))
    assert mix.labels == tuple(classes)
    assert set(mix.load(Split.TRAIN)) == {
        LabeledExample(name, None, at) for at, name in enumerate(classes)
    }


def test_the_faults_of_all_parts_are_found(tmp_path: Path) -> None:
    wrong = {"prompt": 1, "response": "r"}
    parts = [part(tmp_path, name, [*pairs(name, 2), wrong]) for name in ("a", "b")]
    found = [fault.where for fault in mixed(*parts).faults()]
    assert found == [f"{each['path']}:3" for each in parts]


def test_a_part_with_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    rows = pairs("a", 5)
    held_out = part(tmp_path, "b", rows)["path"]
    mix = mixed(
        part(tmp_path, "a", [*rows, *pairs("c", 1)], eval_path=held_out), part(tmp_path, "b", rows)
    )
    with pytest.raises(DataError, match=r"dataset\.parts\.1: nothing is left to train on"):
        mix.load(Split.TRAIN)


@pytest.mark.parametrize(
    ("parts", "where", "fault"),
    [
        ([], "dataset.parts", "at least 1"),
        ([{"path": "a.jsonl"}], "dataset.parts", "must name its dataset"),
        ([{"use": "jsonl", "weight": 1}, {"use": "jsonl"}], "dataset.parts", "or none"),
        ([{"use": "jsonl", "weight": 0}], "dataset.parts", "a number above 0"),
        ([{"use": "jsonl", "weight": "2"}], "dataset.parts", "a number above 0"),
        ([{"use": "jsonl", "weight": float("inf")}], "dataset.parts", "a number above 0"),
        ([{"use": "jsonl", "weight": float("nan")}], "dataset.parts", "a number above 0"),
        ([{"use": "jsnl"}], "", "no dataset is called 'jsnl'. Did you mean 'jsonl'"),
        ([{"use": "jsonl"}], "dataset.parts.0.path", "is required"),
        ([{"use": "jsonl", "path": "x", "pth": "x"}], "dataset.parts.0.pth", "mean 'path'"),
        ([{"use": "jsonl", "path": "gone.jsonl"}], "dataset.parts.0.path", "does not exist"),
    ],
)
def test_wrong_parts_are_told_with_their_place(parts: Any, where: str, fault: str) -> None:
    with pytest.raises(LorafwError, match=fault) as caught:
        mixed(*parts).preflight()
    assert caught.value.where == where
    assert caught.value.exit_code == ConfigError.exit_code

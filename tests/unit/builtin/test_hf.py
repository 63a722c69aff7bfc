"""Hugging Face datasets in folders; the hub itself is out of reach of tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lorafw.builtin.hf import HuggingFace
from lorafw.errors import ConfigError, DataError
from lorafw.types import LabeledExample, PromptExample, Split

datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")

PAIRS = [{"question": f"q {at}", "answer": f"a {at}"} for at in range(100)]
NAMES = ["not_equivalent", "equivalent"]


@pytest.fixture(autouse=True)
def _quiet_and_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def one(tmp_path: Path) -> str:
    """A dataset saved by itself."""
    path = tmp_path / "one"
    datasets.Dataset.from_list(PAIRS).save_to_disk(path)
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> str:
    """A dataset saved with its splits."""
    whole = datasets.Dataset.from_list(PAIRS)
    splits = {"train": whole.select(range(90)), "test": whole.select(range(80, 100))}
    path = tmp_path / "two"
    datasets.DatasetDict(splits).save_to_disk(path)
    return str(path)


@pytest.fixture
def raw(tmp_path: Path) -> str:
    """A folder with a file."""
    path = tmp_path / "raw"
    path.mkdir()
    lines = "".join(f"{json.dumps(row)}\n" for row in PAIRS)
    (path / "train.jsonl").write_text(lines, encoding="utf-8")
    return str(path)


def train(path: str, **options: Any) -> list[Any]:
    return list(HuggingFace(path=path, eval_fraction=0, **options).load(Split.TRAIN))


@pytest.mark.parametrize("kind", ["one", "raw"])
def test_folders_are_read(request: pytest.FixtureRequest, kind: str) -> None:
    path = request.getfixturevalue(kind)
    dataset = HuggingFace(path=path)
    dataset.preflight()
    assert dataset.produces is PromptExample
    assert train(path) == [PromptExample(row["question"], row["answer"]) for row in PAIRS]
    assert train(path, split="train[:5]") == train(path)[:5]
    assert all(origin.is_file() for origin in dataset.origins())
    assert dataset.origins()


@pytest.mark.parametrize(
    ("split", "expected"),
    [("train[10:20]", range(10, 20)), ("train[90%:]+test[-2:]", [*range(81, 90), 98, 99])],
)
def test_parts_of_splits_are_read(two: str, split: str, expected: Any) -> None:
    assert [row.prompt for row in train(two, split=split)] == [f"q {at}" for at in expected]


def test_rows_of_the_held_out_split_are_not_trained_on(two: str) -> None:
    dataset = HuggingFace(path=two, eval_split="test")
    assert len(dataset.load(Split.TRAIN)) == 80
    assert len(dataset.load(Split.EVAL)) == 20
    assert dataset.notices() == (f"10 rows were left out of training: also in {two}, split test.",)


def test_classes_have_the_names_that_the_column_carries(tmp_path: Path) -> None:
    value = datasets.Value("string")
    features = datasets.Features(
        sentence1=value, sentence2=value, label=datasets.ClassLabel(names=NAMES)
    )
    rows = [{"sentence1": f"a {at}", "sentence2": "b", "label": at % 2} for at in range(10)]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(tmp_path / "mrpc")
    dataset = HuggingFace(path=str(tmp_path / "mrpc"))
    assert dataset.produces is LabeledExample
    assert dataset.labels == tuple(NAMES)
    assert train(dataset.path) == [LabeledExample(f"a {at}", "b", at % 2) for at in range(10)]
    assert HuggingFace(path=dataset.path, classes=("no", "yes")).labels == ("no", "yes")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"split": "validation"}, "split validation: cannot be read: Unknown split"),
        ({"split": "train[:"}, "cannot be read: Unrecognized instruction format"),
        ({"split": "train[:0]"}, "holds no rows"),
        ({"fields": {"prompt": "q", "response": "answer"}}, "split train, row 1: .*no field 'q'"),
    ],
)
def test_what_is_not_there_is_one_error(two: str, options: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        train(two, **options)


def test_the_hub_out_of_reach_is_one_error() -> None:
    with pytest.raises(DataError, match=r"nobody/nothing.*cannot be read.*machine online"):
        train("nobody/nothing")


def test_what_cannot_be_opened_is_a_fault(two: str) -> None:
    (fault,) = HuggingFace(path=two, split="validation").faults()
    assert "Unknown split" in fault.what
    (fault,) = HuggingFace(path=two, eval_split="validation").faults()
    assert "Unknown split" in fault.what


def test_a_file_cut_short_is_one_error(one: str) -> None:
    (arrow,) = Path(one).glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:900])
    with pytest.raises(DataError, match="split train: cannot be read"):
        train(one)


def test_without_the_library_the_error_says_what_to_install(
    one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'pip install "lorafw\[hub\]"'):
        HuggingFace(path=one).preflight()
    with pytest.raises(ConfigError, match=r'pip install "lorafw\[hub\]"'):
        train(one)

"""Core's datasets keep the promises of their kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw.builtin.files import Files
from lorafw.builtin.hf import HuggingFace
from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.mix import Mix
from lorafw.builtin.trace import Trace
from lorafw.testing import DatasetContract


def _pairs(path: Path, first: int, count: int) -> Path:
    rows = [
        {"prompt": f"question {n}", "response": f"answer {n}"} for n in range(first, first + count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


class TestJsonl(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Jsonl:
        return Jsonl(path=_pairs(tmp_path / "rows.jsonl", 0, 60), eval_fraction=0.2)


class TestJsonlWithHeldOutFile(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Jsonl:
        rows, held_out = tmp_path / "rows.jsonl", tmp_path / "held-out.jsonl"
        return Jsonl(path=_pairs(rows, 0, 20), eval_path=_pairs(held_out, 10, 15))


class TestJsonlOfConversations(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Jsonl:
        path = tmp_path / "chats.json"
        chats = [
            {
                "messages": [
                    {"role": "user", "content": f"{n}?"},
                    {"role": "assistant", "content": "!"},
                ]
            }
            for n in range(40)
        ]
        path.write_text(json.dumps(chats))
        return Jsonl(path=path, eval_fraction=0.25)


class TestFilesOfLabelledPairs(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Files:
        rows = [f"first {n},second,{n % 3}" for n in range(60)]
        for name, part in (("a.csv", rows[:30]), ("b.csv", rows[30:])):
            (tmp_path / name).write_text("\n".join(["sentence1,sentence2,label", *part]))
        return Files(path=tmp_path / "*.csv", classes=("no", "yes", "maybe"), eval_fraction=0.2)


class TestFilesOfPreferences(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Files:
        rows = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no"} for n in range(40)]
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        return Files(path=(tmp_path / "rows.json",), eval_fraction=0.2)


class TestTrace(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Trace:
        for at, name in enumerate(("train", "eval", "test")):
            rows = [{"prompt": f"{n}", "answer": "a"} for n in range(10 * at, 10 * at + 15)]
            (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        return Trace(path=tmp_path)


class TestHuggingFace(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> HuggingFace:
        datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
        datasets.disable_progress_bars()
        rows = [{"text": f"text {n}", "label": n % 2} for n in range(60)]
        features = {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["-", "+"]),
        }
        whole = datasets.Dataset.from_list(rows, features=datasets.Features(features))
        whole.save_to_disk(tmp_path / "saved")
        return HuggingFace(path=str(tmp_path / "saved"), eval_fraction=0.2)


class TestMix(DatasetContract):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Mix:
        one = _pairs(tmp_path / "one.jsonl", 0, 40)
        other = _pairs(tmp_path / "other.jsonl", 30, 40)
        parts = [
            {"use": "jsonl", "path": str(one), "eval_fraction": 0.2, "weight": 1},
            {"use": "files", "path": [str(other)], "weight": 2.5},
        ]
        return Mix.from_mapping({"parts": parts}, where="dataset")

"""Core's datasets keep the promises of their kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorafw.builtin.jsonl import Jsonl
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

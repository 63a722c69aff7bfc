"""A run of a toy model that held rows out, once in fp32 and once in bf16."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lorafw
from lorafw.testing.toys import WORDS, toy_folder

Train = Callable[[str], Path]


def sentences(count: int, seed: int) -> list[dict[str, str]]:
    """Rows of a prompt and a response of random words."""
    chance = random.Random(seed)
    sizes = [(chance.randint(2, 6), chance.randint(1, 9)) for _ in range(count)]
    texts = [[" ".join(chance.choices(WORDS, k=size)) for size in pair] for pair in sizes]
    return [{"prompt": prompt, "response": response} for prompt, response in texts]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="package")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains for three steps; what was trained once is given again."""
    place, done = tmp_path_factory.mktemp("runs"), dict[str, Path]()
    base = toy_folder(place / "base")
    rows = {"train": sentences(12, 1), "eval": sentences(10, 2)}
    files = {name: str(write_rows(place / f"{name}.jsonl", each)) for name, each in rows.items()}

    def run(dtype: str) -> Path:
        if dtype not in done:
            config = {
                "run": {"output": str(place / dtype), "cache": False},
                "dataset": {"use": "jsonl", "path": files["train"], "eval_path": files["eval"]},
                "model": {"use": "auto", "path": str(base), "dtype": dtype},
                "injector": {"use": "custom", "r": 4},
                "encoder": {"use": "prompt", "separator": " "},
                "trainer": "ddp",
                "plan": {"global_batch_size": 4, "learning_rate": 0.05, "warmup_ratio": 0},
                "listeners": [],
            }
            done[dtype] = lorafw.run(config).folder
        return done[dtype]

    return run

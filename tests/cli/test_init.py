"""`lorafw init` writes files that work and never overwrites any."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from lorafw.assembly.config import read_config
from lorafw.assembly.registry import Registry

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_files_make_a_config(lorafw: Lorafw, tmp_path: Path) -> None:
    found = lorafw("init")
    assert found.returncode == 0
    assert found.stdout == (
        "Wrote lorafw.yaml, sample.jsonl, sample-eval.jsonl.\nStart with: lorafw run\n"
    )
    config = read_config(Registry(), path=tmp_path / "lorafw.yaml")
    assert (config.model.name, config.model.options["path"]) == ("llama", "lorafw:demo")
    assert config.trainer.options == {"zero_stage": 2}
    assert config.injector.options == {"r": 8, "alpha": 16}
    assert config.plan.learning_rate == 5e-3


def test_the_rows_are_pairs_and_the_held_out_ones_are_new(lorafw: Lorafw, tmp_path: Path) -> None:
    assert lorafw("init", "start/here").stdout.endswith("cd start/here && lorafw run\n")
    folder = tmp_path / "start" / "here"
    train, held_out = rows(folder / "sample.jsonl"), rows(folder / "sample-eval.jsonl")
    assert len(train) == 64
    assert all(set(row) == {"prompt", "response"} for row in train + held_out)
    assert not {row["response"] for row in train} & {row["response"] for row in held_out}


def test_nothing_is_overwritten(lorafw: Lorafw, tmp_path: Path) -> None:
    (tmp_path / "sample.jsonl").write_text("mine\n")
    found = lorafw("init")
    assert found.returncode == 2
    assert found.stderr == (
        "Error: 'sample.jsonl' exists already and is left as it is. "
        "Name another folder: lorafw init DIR\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["sample.jsonl"]

"""What a newcomer does first: init and the literal main job, without a compiler; the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lorafw


def _lorafw(folder: Path, *words: str, **variables: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "lorafw", *words],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after `lorafw init` and the main job, on a machine that has no compiler."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "bin").mkdir()
    bare = {"PATH": str(folder / "bin"), "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    _lorafw(folder, "init")
    words = "run --dataset jsonl --injector peft --trainer deepspeed"
    told = _lorafw(folder, *words.split(), **bare)
    assert "lorafw generate runs/first-run" in told
    return folder


def test_the_main_job_learns(started: Path) -> None:
    record = json.loads((started / "runs/first-run/run.json").read_text(encoding="utf-8"))
    assert record["evaluation"]["loss"] < 0.1 * record["evaluation_before"]["loss"]
    assert not list((started / "extensions").rglob("*")), "something was compiled"


def test_a_run_leaves_its_three_records(started: Path) -> None:
    run = started / "runs/first-run"
    assert {"run.yaml", "run.json", "events.jsonl", "adapter"} <= {p.name for p in run.iterdir()}
    _lorafw(started, "config", "validate", "runs/first-run/run.yaml")


def test_the_command_line_and_the_library_answer_alike(started: Path) -> None:
    question = "What does the rabbit eat?"
    told = _lorafw(started, "generate", "runs/first-run", "--prompt", question)
    model = lorafw.load(started / "runs/first-run")
    assert told.strip() == model.generate(question, max_new_tokens=128).strip()
    assert told.strip() != model.generate(question, adapter=False).strip()


def test_the_same_job_in_a_program_gives_the_same_adapter(
    started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(started)
    from lorafw.adapters.layout.peft_layout import read_adapter
    from lorafw.assembly.yaml_source import read_yaml

    config = dict(read_yaml(Path("runs/first-run/run.yaml")).values)
    config["run"] = {**config["run"], "output": str(tmp_path / "again")}
    result = lorafw.run(config)
    assert result.adapter is not None
    ours, theirs = read_adapter(result.adapter), read_adapter(Path("runs/first-run/adapter"))
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(bool((ours.tensors[name] == theirs.tensors[name]).all()) for name in ours.tensors)


def test_the_demo_shows_a_difference(tmp_path: Path) -> None:
    told = _lorafw(tmp_path, "demo", COLUMNS="160")
    assert "The penguin lives on the ice." in told
    assert "The penguin be livin' on the ice" in told
    record = json.loads((tmp_path / "runs/demo/run.json").read_text(encoding="utf-8"))
    assert record["evaluation"]["loss"] < 0.1 < record["evaluation_before"]["loss"]

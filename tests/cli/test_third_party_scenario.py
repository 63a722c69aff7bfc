"""A scenario that somebody else wrote, installed as users install one, works by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parents[1] / "fixtures" / "plugins" / "lorafw-hard-first"
WORDS = {"easy": "the the the the", "hard": "Zq Xv 93 !? Wj"}

Lorafw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the plugin into."""
    source = shutil.copytree(SOURCE, tmp_path_factory.mktemp("source") / SOURCE.name)
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    here = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *here, str(source)], check=True, capture_output=True, timeout=120)
    return site


def _config(folder: Path) -> Path:
    tasks = []
    for name, words in WORDS.items():
        file = folder / f"{name}.jsonl"
        rows = [{"prompt": f"Say it {at}.", "response": f"{words} {at}"} for at in range(6)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        tasks.append({"name": name, "dataset": {"use": "jsonl", "path": str(file)}})
    values = {
        "run": {"output": str(folder / "run")},
        "model": {"use": "llama", "path": "lorafw:demo"},
        "injector": "custom",
        "trainer": "ddp",
        "scenario": "hard-first",
        "plan": {"max_steps": 1},
        "tasks": tasks,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_it_trains_what_is_hard_first(lorafw: Lorafw, installed: Path, tmp_path: Path) -> None:
    config = _config(tmp_path)
    done = lorafw("run", "--config", str(config), path=[installed])
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["scores"]
    before = {name: figures["loss"] for name, figures in scores["figures"]["before"].items()}
    assert before["hard"] > before["easy"]
    assert scores["tasks"] == ["hard", "easy"]

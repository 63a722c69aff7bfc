"""`lorafw plan` tells what a run takes, and the run then tells what it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import lorafw
from lorafw.cli.main import main
from lorafw.testing.toys import WORDS, toy_folder

SHAPE = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 6}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A small Llama with random weights and some rows for it."""
    place = tmp_path_factory.mktemp("job")
    rows = [
        {"prompt": " ".join(WORDS[: 3 + n]), "response": " ".join(WORDS[n:] * 3)} for n in range(12)
    ]
    lines = [json.dumps(row) for row in rows]
    (place / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "run": {"cache": False, "output": str(place / "run")},
        "dataset": {"use": "jsonl", "path": str(place / "rows.jsonl"), "eval_fraction": 0},
        "model": {"use": "llama", "path": str(toy_folder(place / "base", **SHAPE))},
        "injector": {"use": "custom", "r": 4},
        "trainer": "ddp",
        "plan": {"global_batch_size": 6, "micro_batch_tokens": 256},
    }


def told(job: dict[str, Any], tmp_path: Path, *flags: str) -> Result:
    config = tmp_path / "lorafw.yaml"
    config.write_text(json.dumps(job))  # JSON is YAML
    return CliRunner().invoke(main, ["plan", "--config", str(config), *flags])


def test_figures_are_told(job: dict[str, Any], tmp_path: Path) -> None:
    found = told(job, tmp_path, "--memory", "1G")
    assert found.exit_code == 0, found.output
    for part in ("trained", "steps", "padding", "weights", "activations", "in all"):
        assert part in found.stdout
    assert "does not fit" not in found.stdout


def test_what_does_not_fit_is_told_with_what_would(job: dict[str, Any], tmp_path: Path) -> None:
    found = told(job, tmp_path, "--memory", "34M", "-o", "plan.activations=keep")
    assert "It does not fit: set plan.activations" in found.stdout
    assert "plan.micro_batch_tokens" in found.stdout


def test_what_is_chosen_is_told_and_why(job: dict[str, Any], tmp_path: Path) -> None:
    ample, short = (told(job, tmp_path, "--memory", size).stdout for size in ("1G", "38M"))
    for policy in ("keep", "recompute-mlp", "checkpoint"):
        assert f"activations: {policy}" in ample
    assert "Chosen" not in ample
    assert "Chosen: 38 MB of memory are free" in short
    assert "so plan.activations: " in short


def test_json_of_two_ranks(job: dict[str, Any], tmp_path: Path) -> None:
    alone, both = (
        json.loads(told(job, tmp_path, "--json", *flags).stdout) for flags in ([], ["--nproc", "2"])
    )
    assert (alone["world_size"], both["world_size"]) == (1, 2)
    assert alone["tokens"] == both["tokens"]
    assert both["memory"]["engine"] > alone["memory"]["engine"] == 0


def test_a_wrong_size_is_refused(job: dict[str, Any], tmp_path: Path) -> None:
    found = told(job, tmp_path, "--memory", "much")
    assert found.exit_code == 2
    assert "no number of bytes" in found.stderr


def test_calibration_tells_the_time(job: dict[str, Any]) -> None:
    found = lorafw.plan(job, calibrate=True)
    assert found.seconds is not None
    assert 0 < found.seconds < 600


def test_a_model_that_cannot_be_built_so_is_no_fault(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorafw_llama.model import Llama

    monkeypatch.setattr(Llama, "builds_without_weights", False)
    found = lorafw.plan(job).record()
    assert found["memory"] is None
    assert "only be built with its weights" in found["unknown"]
    assert found["steps"] == 2

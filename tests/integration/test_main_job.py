"""The main job on real rows: every injector with every trainer, on one rank and on two."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import lorafw

STEPS = 8
TRAINERS: dict[str, dict[str, Any]] = {
    "ddp": {"use": "ddp"},
    "accelerate": {"use": "accelerate"},
    "deepspeed-2": {"use": "deepspeed", "zero_stage": 2},
    "deepspeed-3": {"use": "deepspeed", "zero_stage": 3, "persistence_threshold": 0},
}


@pytest.fixture(scope="module")
def rows(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 200 rows of GSM8K."""
    lines = (shared / "data/gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _config(rows: Path, shared: Path, injector: str, trainer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": {"use": "jsonl", "path": str(rows)},
        "model": {"use": "llama", "path": str(shared / "models/stories260k-llama")},
        "injector": {"use": injector},
        "trainer": dict(trainer),
        "plan": {"max_steps": STEPS, "learning_rate": 5e-3, "warmup_ratio": 0.0},
        "listeners": [],
    }


def _check(folder: Path, shared: Path) -> None:
    """Held-out loss fell, and plain PEFT gives the logits that lorafw gives."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["steps"] == STEPS
    noted = json.loads((folder / "adapter" / "lorafw.json").read_text(encoding="utf-8"))
    assert all(noted[key].startswith("sha256:") for key in ("base", "tokenizer", "template"))
    assert record["evaluation"]["loss"] < record["evaluation_before"]["loss"] - 0.5
    ids = [1, 403, 407, 261, 378, 420, 300]
    ours = lorafw.load(folder).logits(ids)
    theirs = _plain_peft(folder / "adapter", shared / "models/stories260k-llama", ids)
    assert torch.allclose(ours, theirs, atol=1e-4, rtol=0)  # two ways to sum, logits up to 20
    assert not torch.allclose(lorafw.load(folder).logits(ids, adapter=False), theirs, atol=1e-2)


def _plain_peft(adapter: Path, base: Path, ids: list[int]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]
    return logits.float()


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("injector", ["peft", "custom"])
def test_one_process_in_this_program(
    injector: str, trainer: str, rows: Path, shared: Path, tmp_path: Path
) -> None:
    config = _config(rows, shared, injector, TRAINERS[trainer])
    config["run"] = {"output": str(tmp_path / "run")}
    result = lorafw.run(config)
    assert result.adapter == tmp_path / "run" / "adapter"
    _check(result.folder, shared)


def _pairs() -> list[Any]:
    """Every trainer and every injector by default; the other half of the pairs is slow."""
    pairs = list(product(("peft", "custom"), TRAINERS))
    rare = pairs[1 : len(TRAINERS) : 2] + pairs[len(TRAINERS) :: 2]
    return [pytest.param(*pair, marks=[pytest.mark.slow] * (pair in rare)) for pair in pairs]


@pytest.mark.parametrize(("injector", "trainer"), _pairs())
def test_two_processes_from_the_command_line(
    injector: str, trainer: str, rows: Path, shared: Path, tmp_path: Path
) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(
        json.dumps(_config(rows, shared, injector, TRAINERS[trainer])), encoding="utf-8"
    )
    output = tmp_path / "run"
    command = ["run", "--config", str(config), "--output", str(output), "--nproc", "2"]
    result = subprocess.run(
        [sys.executable, "-m", "lorafw", *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"lorafw generate {output}" in result.stdout
    _check(output, shared)


def test_the_literal_command(shared: Path, tmp_path: Path) -> None:
    """As a newcomer types it, and nothing of torch, DeepSpeed or PEFT gets on the screen."""
    words = f"""run --dataset jsonl -o dataset.path={shared}/data/gsm8k/train.jsonl
        --model llama -o model.path={shared}/models/stories260k-llama
        --injector peft --trainer deepspeed -o plan.max_steps={STEPS}
        -o plan.learning_rate=5e-3 -o dataset.eval_limit=16 --output {tmp_path}/run""".split()
    result = subprocess.run(
        [sys.executable, "-m", "lorafw", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    _check(tmp_path / "run", shared)
    noise = [line for line in result.stderr.splitlines() if _is_noise(line)]
    assert not noise, noise


def _is_noise(line: str) -> bool:
    return any(mark in line for mark in ("Warning", "WARNING", "[rank", "INFO", "transformers]"))


def test_a_merged_export_talks_in_plain_transformers(
    rows: Path, shared: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    config = _config(rows, shared, "custom", TRAINERS["ddp"]) | {"exporters": ["adapter", "merged"]}
    config["run"] = {"output": str(tmp_path / "run")}
    result = lorafw.run(config)
    ids = [1, 403, 407, 261, 378]
    merged = AutoModelForCausalLM.from_pretrained(result.exports["merged"])
    with torch.no_grad():
        theirs = merged(input_ids=torch.tensor([ids])).logits[0]
    assert torch.allclose(lorafw.load(result.folder).logits(ids), theirs, atol=1e-4, rtol=0)
    assert torch.allclose(lorafw.load(result.exports["merged"]).logits(ids), theirs, atol=1e-4)


def test_one_rank_failing_ends_the_job_with_one_line(tmp_path: Path, shared: Path) -> None:
    broken = tmp_path / "rows.jsonl"
    broken.write_text('{"prompt": "a", "response": "b"}\n{"prompt": 3}\n', encoding="utf-8")
    config = _config(broken, shared, "custom", TRAINERS["ddp"])
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = ["run", "--config", str(path), "--output", str(tmp_path / "run"), "--nproc", "2"]
    result = subprocess.run(
        [sys.executable, "-m", "lorafw", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1, result.stderr
    assert f"{broken}:2" in errors[0]
    assert "Traceback" not in result.stderr

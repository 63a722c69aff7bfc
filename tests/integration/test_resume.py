"""A run killed at any moment and resumed ends with the same adapter as one that never was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lorafw.testing.toys import WORDS, toy_folder

STEPS = 8
KILLS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(3)
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    lines = [
        {
            "prompt": " ".join(chance.choices(WORDS, k=4)),
            "response": " ".join(chance.choices(WORDS, k=k)),
        }
        for k in [chance.randint(2, 9) for _ in range(30)]
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def _command(base: Path, rows: Path, output: Path, *more: str) -> list[str]:
    options = {
        "dataset.path": rows,
        "model.path": base,
        "injector.dropout": 0.1,  # random numbers have to be resumed as well
        "trainer": "ddp",
        "plan.max_steps": STEPS,
        "plan.epochs": 9,
        "plan.global_batch_size": 5,
        "plan.micro_batch_tokens": 40,
        "plan.checkpoint_every": 1,
        "plan.learning_rate": 1e-2,
    }
    pairs = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    parts = ["--dataset", "jsonl", "--model", "llama", "--injector", "custom", "--trainer", "ddp"]
    return [sys.executable, "-m", "lorafw", "run", *parts, *pairs, "--output", str(output), *more]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _run(command: list[str]) -> None:
    result = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]


def _adapter(output: Path) -> dict[str, bytes]:
    tensors = load_file(output / "adapter" / "adapter_model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def _steps_seen(output: Path) -> Iterator[tuple[int, float]]:
    for line in (output / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "step_end":
            yield event["step"], event["loss"]


@pytest.fixture(scope="module")
def whole(base: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "run"
    _run(_command(base, rows, output))
    return output


def _kill_when(command: list[str], output: Path, step: int, delay: float) -> None:
    """Start the run and SIGKILL it a moment after it has announced a step."""
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        events = output / "events.jsonl"
        while process.poll() is None:
            if events.exists() and f'"step": {step},' in events.read_text(encoding="utf-8"):
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_and_resumed_is_bit_equal(
    kill: int, base: Path, rows: Path, whole: Path, tmp_path: Path
) -> None:
    chance = random.Random(kill)
    output = tmp_path / "run"
    step, delay = 1 + kill % (STEPS - 1), chance.random() * 0.02
    _kill_when(_command(base, rows, output), output, step, delay)
    assert not (output / "run.json").exists(), "it was over before it could be killed"
    _run(_command(base, rows, output, "--resume"))
    assert _adapter(output) == _adapter(whole)
    seen = list(_steps_seen(output))
    assert {step for step, _ in seen} == set(range(1, STEPS + 1))
    assert set(seen) == set(_steps_seen(whole)), "another loss: other rows or another order"


@pytest.mark.parametrize(("first", "second"), [("deepspeed", "ddp"), ("ddp", "deepspeed")])
def test_a_checkpoint_continues_under_another_trainer(
    first: str, second: str, base: Path, rows: Path, tmp_path: Path
) -> None:
    """The last place where rounding differs is AdamW's eps: it is set above the noise here."""
    steady = ["-o", "plan.eps=1e-6", "-o", "plan.learning_rate=1e-3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _run(_command(base, rows, whole, *steady))
    start = _command(base, rows, killed, *steady, "--trainer", first)
    _kill_when(start, killed, step=3, delay=0.0)
    assert not (killed / "run.json").exists(), "it was over before it could be killed"
    _run(_command(base, rows, killed, *steady, "--trainer", second, "--resume"))
    ours, theirs = (
        load_file(run / "adapter" / "adapter_model.safetensors") for run in (killed, whole)
    )
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 5e-6


def test_a_finished_run_resumes_to_itself(
    base: Path, rows: Path, whole: Path, tmp_path: Path
) -> None:
    before = _adapter(whole)
    _run(_command(base, rows, whole, "--resume"))
    assert _adapter(whole) == before


def test_resume_refuses_another_run(base: Path, rows: Path, whole: Path) -> None:
    command = _command(base, rows, whole, "--resume", "-o", "plan.learning_rate=0.5")
    result = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1
    assert "another plan" in result.stderr
    assert "learning_rate: 0.5" not in (whole / "run.yaml").read_text(encoding="utf-8")
    assert "Traceback" not in result.stderr


def test_sigterm_leaves_a_checkpoint_and_its_own_exit_code(
    base: Path, rows: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    # Long enough that the signal arrives while steps are made.
    command = _command(base, rows, output, "-o", "plan.checkpoint_every=1000")
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        events = output / "events.jsonl"
        while not (events.exists() and "fit_start" in events.read_text(encoding="utf-8")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    assert "continue with --resume" in errors
    _run(_command(base, rows, output, "--resume"))
    assert _adapter(output) == _adapter(whole)

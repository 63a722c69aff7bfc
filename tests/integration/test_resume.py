"""A run killed at any moment and resumed ends with the same adapter as one that never was."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from lorafw.testing.toys import WORDS, toy_folder

STEPS = 8


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


def _steps(output: Path) -> Iterator[dict[str, Any]]:
    for line in (output / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "step_end":
            yield event


def _steps_seen(output: Path) -> list[tuple[int, float]]:
    return [(event["step"], event["loss"]) for event in _steps(output)]


def _tokens(output: Path) -> list[tuple[int, int]]:
    return [(event["step"], event["tokens"]) for event in _steps(output)]


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


def _when(command: list[str], output: Path, step: int, number: signal.Signals) -> int:
    """Start the run and send it a signal when it has announced a step; its exit code."""
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        events = output / "events.jsonl"
        while process.poll() is None:
            if events.exists() and f'"step": {step},' in events.read_text(encoding="utf-8"):
                process.send_signal(number)
                break
            time.sleep(0.002)
    assert not (output / "run.json").exists(), "it was over before the signal came"
    return process.returncode


def test_killed_and_resumed_is_bit_equal(
    base: Path, rows: Path, whole: Path, tmp_path: Path
) -> None:
    """The moments of `tests.kills` are many; this is the command itself."""
    output = tmp_path / "run"
    code = _when(_command(base, rows, output), output, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    _run(_command(base, rows, output, "--resume"))
    assert _adapter(output) == _adapter(whole)
    assert set(_steps_seen(output)) == set(_steps_seen(whole)), "other rows or another order"


STEADY = ["-o", "plan.eps=1e-6", "-o", "plan.learning_rate=1e-3", "-o", "injector.dropout=0"]
"""The last place where rounding differs is AdamW's eps: it is set above the noise here."""
ONE, TWO = ["--trainer", "ddp"], ["--trainer", "deepspeed", "--nproc", "2"]


@pytest.fixture(scope="module")
def steady(base: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("steady") / "run"
    _run(_command(base, rows, output, *STEADY))
    return output


@pytest.mark.parametrize(("first", "second"), [(TWO, ONE), (ONE, TWO)], ids=["to-one", "to-two"])
def test_zero_2_on_two_ranks_and_ddp_on_one_continue_each_other(
    first: list[str], second: list[str], base: Path, rows: Path, steady: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    start = _command(base, rows, output, *STEADY, *first)
    assert _when(start, output, 3, signal.SIGTERM) == 143
    _run(_command(base, rows, output, *STEADY, *second, "--resume"))
    ours, theirs = (
        load_file(run / "adapter" / "adapter_model.safetensors") for run in (output, steady)
    )
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 5e-6
    assert _tokens(output) == _tokens(steady), "other rows or another order"


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
    assert "another plan (plan.learning_rate: 0.01 -> 0.5)" in result.stderr
    assert "learning_rate: 0.5" not in (whole / "run.yaml").read_text(encoding="utf-8")
    assert "Traceback" not in result.stderr


def test_a_change_is_accepted_and_recorded(
    base: Path, rows: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    accepted = ["--accept-changed", "plan", "--accept-changed", "seed"]
    _run(_command(base, rows, output, "--resume", "-o", "plan.learning_rate=0.5", *accepted))
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    told = f"after step {STEPS}: another plan (plan.learning_rate: 0.01 -> 0.5)"
    assert record["accepted_changes"] == [told]


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

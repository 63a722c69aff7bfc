"""Real ranks that fail, are killed, or asked to stop: one error, nobody left, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.small_run import (
    ABSOLUTE,
    TRAINERS,
    alive,
    command,
    difference,
    environment,
    make_inputs,
    steps_done,
    wait_until,
)

LIMIT_SECONDS = 30
ERRORS = {
    "refuse": (1, "Error: rank 1 failed: these rows are refused. Take others."),
    "crash": (1, "Error: rank 1 failed: ZeroDivisionError: a bug in two lines"),
    "kill": (137, "Error: rank 1 failed: it was killed by SIGKILL, perhaps for want of memory"),
}
DEFAULT = {("crash", "accelerate"), ("kill", "ddp")}
"""What the default suite sees of every fault with every trainer."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it, undisturbed."""
    output = tmp_path_factory.mktemp("alone") / "run"
    _run(command(inputs, output))
    return output


def _run(words: list[str]) -> str:
    result = subprocess.run(
        words, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr


@contextmanager
def _started(words: list[str], **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words,
        env={**environment(), **more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _ranks(launcher: int) -> list[int]:
    """Processes that a launcher has started."""
    text = Path(f"/proc/{launcher}/task/{launcher}/children").read_text(encoding="utf-8")
    return [int(word) for word in text.split()]


def _matrix() -> list[Any]:
    cases = [(fault, trainer) for fault in ERRORS for trainer in TRAINERS]
    return [
        pytest.param(*case, marks=() if case in DEFAULT else (pytest.mark.faults,))
        for case in cases
    ]


@pytest.mark.parametrize(("fault", "trainer"), _matrix())
def test_a_rank_that_fails_ends_all_with_one_line(
    fault: str, trainer: str, inputs: Path, tmp_path: Path
) -> None:
    words = command(inputs, tmp_path / "run", *TRAINERS[trainer], "--nproc", "2", fault=fault)
    with _started(words) as launcher:
        wait_until((tmp_path / "marker").exists)
        began, ranks = time.monotonic(), _ranks(launcher.pid)
        _, text = launcher.communicate(timeout=120)
        seconds = time.monotonic() - began
    code, error = ERRORS[fault]
    assert launcher.returncode == code
    assert [line for line in text.splitlines() if line.startswith("Error")] == [error]
    assert text.count("Traceback") == (1 if fault == "crash" else 0), text
    assert seconds < LIMIT_SECONDS
    assert len(ranks) == 2
    assert not alive(ranks)


def test_a_launcher_that_is_killed_leaves_nobody(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = command(inputs, output, "-o", "plan.max_steps=2000", "--nproc", "2", fault="slow")
    with _started(words) as launcher:
        wait_until(lambda: steps_done(output) >= 1)
        ranks = _ranks(launcher.pid)
        assert len(alive(ranks)) == 2
        launcher.kill()
        wait_until(lambda: not alive(ranks), LIMIT_SECONDS)


def test_a_killed_rank_is_left_out_and_the_result_is_the_same(
    inputs: Path, alone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    restarts = ["--nproc", "2", "--max-restarts", "1", "--min-nproc", "1"]
    text = _run(command(inputs, output, *TRAINERS["deepspeed"], *restarts, fault="kill"))
    [notice] = [line for line in text.splitlines() if "restart 1 of 1" in line]
    assert "Rank 1 failed: it was killed by SIGKILL" in notice
    assert "Going on from step" in notice
    assert "The number of ranks is 1 instead of 2 now." in text
    assert difference(output, alone) < ABSOLUTE


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults),
    ],
)
def test_a_signal_writes_a_checkpoint_and_has_a_code(
    number: signal.Signals, code: int, inputs: Path, alone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    rarely = ["-o", "plan.checkpoint_every=1000"]
    slow = command(inputs, output, *rarely, "--nproc", "2", fault="slow")
    with _started(slow) as launcher:
        wait_until(lambda: steps_done(output) >= 1)
        launcher.send_signal(number)
        _, text = launcher.communicate(timeout=120)
    assert launcher.returncode == code, text
    [error] = [line for line in text.splitlines() if line.startswith("Error")]
    assert "stopped on request after step" in error
    assert "continue with --resume" in error
    _run(command(inputs, output, *rarely, "--resume", fault="slow"))
    assert difference(output, alone) < ABSOLUTE


@pytest.mark.slow
def test_tasks_of_slurm_are_ranks(inputs: Path, alone: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = command(inputs, output, "--nproc", "3")
    slurm = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_ID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NODELIST": "node[7]",
        "SLURM_STEP_TASKS_PER_NODE": "2",
    }
    own = [{**slurm, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
    with _started(words, **own[0]) as first, _started(words, **own[1]) as second:
        texts = [process.communicate(timeout=240)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], texts
    assert "srun has already started 2 ranks" in texts[0]
    assert difference(output, alone) < ABSOLUTE


@pytest.mark.faults
def test_torchrun_starts_the_ranks(inputs: Path, alone: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    text = _run([sys.executable, *torchrun, "--", *command(inputs, output, "--nproc", "3")])
    assert "torchrun has already started 2 ranks" in text
    assert difference(output, alone) < ABSOLUTE


@pytest.mark.faults
def test_a_rank_that_waits_for_ever_is_killed(inputs: Path, tmp_path: Path) -> None:
    """One rank is killed while another does not listen to anyone."""
    output = tmp_path / "run"
    words = command(inputs, output, "--nproc", "2", fault="hang")
    with _started(words) as launcher:
        wait_until((tmp_path / "marker").exists)
        ranks = _ranks(launcher.pid)
        os.kill(ranks[0], signal.SIGKILL)
        launcher.communicate(timeout=LIMIT_SECONDS)
    assert launcher.returncode == 137
    assert not alive(ranks)

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.measure import StepClock, own_memory, resident_memory, siblings
from benchmarks.rows import ROWS_PER_STEP, draw_rows

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of other processes")


def _worked(clock: StepClock, steps: int) -> StepClock:
    for _ in range(steps):
        sum(range(20_000))
        clock.mark()
    return clock


def test_what_comes_before_the_timed_steps_is_not_counted(tmp_path: Path) -> None:
    rows = draw_rows(4 * ROWS_PER_STEP)
    _worked(StepClock(), 4).write(tmp_path / "marks")
    clock = StepClock.read(tmp_path / "marks")
    short, long = (clock.outcome(rows, [1.0] * 4, warmup=warmup) for warmup in (3, 1))
    assert 0 < short.seconds < long.seconds
    assert short.tokens == sum(len(row.ids) for row in rows[-ROWS_PER_STEP:])
    assert long.losses == [1.0] * 4
    assert long.peak_bytes > 0


def test_missing_steps_or_losses_are_told() -> None:
    rows = draw_rows(2 * ROWS_PER_STEP)
    with pytest.raises(SystemExit, match="1 steps, 2 losses: 2 were asked"):
        _worked(StepClock(), 1).outcome(rows, [1.0, 1.0], warmup=1)
    with pytest.raises(SystemExit, match="2 steps, 1 losses"):
        _worked(StepClock(), 2).outcome(rows, [1.0], warmup=1)
    assert _worked(StepClock(), 2).outcome(rows, [], warmup=1).losses == []


@linux
def test_other_processes_are_counted_with_this_one() -> None:
    code = "held = bytearray(50_000_000); print(sum(range(3_000_000)), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        rows = draw_rows(ROWS_PER_STEP)
        alone = _worked(StepClock(), 1).outcome(rows, [], warmup=1)
        both = _worked(StepClock([other.pid]), 1).outcome(rows, [], warmup=1)
        other.communicate(b"\n")
    assert both.peak_bytes > alone.peak_bytes + 50_000_000


@linux
def test_siblings_are_the_parents_other_children() -> None:
    code = (
        "import subprocess, sys\n"
        "code = 'from benchmarks.measure import siblings as s; print(s())'\n"
        "child = [sys.executable, '-c', code]\n"
        "idle = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "told = subprocess.check_output(child, text=True)\n"
        "idle.communicate(b'\\n')\n"
        "sys.exit(told.strip() != str([idle.pid]))\n"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
    assert isinstance(siblings(), list)


@linux
def test_pages_of_files_are_not_own_memory() -> None:
    assert 0 < own_memory() < resident_memory()

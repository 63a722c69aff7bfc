from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lorafw.verification import processes
from lorafw.verification.assignment import FAILURE

RANKS = """
import os, pathlib, sys, time
folder, rank = pathlib.Path(sys.argv[1]), os.environ.get("RANK", "alone")
(folder / f"rank-{rank}").write_text(f"{os.getpid()} {os.environ.get('WORLD_SIZE')}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processes, "_WORKER", "ranks_of_a_test")
    monkeypatch.setattr(processes, "_SETTLE_SECONDS", 0.2)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def ranks_do(folder: Path, lines: str) -> None:
    (folder / "ranks_of_a_test.py").write_text(RANKS + lines)


def lives(note: Path) -> bool:
    """Whether the rank that left a note is there; one that did not come so far was ended before."""
    said = note.read_text().split() if note.exists() else []
    if not said:
        return False
    try:
        os.kill(int(said[0]), 0)
    except ProcessLookupError:
        return False
    return True


def test_every_rank_works(folder: Path) -> None:
    ranks_do(folder, "")
    assert processes.work(folder, 2) == ""
    assert [(folder / f"rank-{rank}").read_text().split()[1] for rank in (0, 1)] == ["2", "2"]
    assert processes.work(folder, 1) == ""
    assert (folder / "rank-alone").read_text().split()[1] == "None"


def test_one_that_waits_for_one_that_failed_is_ended(folder: Path) -> None:
    ranks_do(folder, "time.sleep(60) if rank == '0' else sys.exit('no more')")
    began = time.monotonic()
    assert processes.work(folder, 2) == "rank 1 left exit code 1: no more"
    assert time.monotonic() - began < 30
    assert not lives(folder / "rank-0")


def test_what_a_rank_says_comes_first(folder: Path) -> None:
    ranks_do(folder, f"(folder / {FAILURE!r}).write_text('rank 0: the reason'); sys.exit('noise')")
    assert processes.work(folder, 1) == "rank 0: the reason"


def test_a_signal_has_a_name(folder: Path) -> None:
    ranks_do(folder, "os.kill(os.getpid(), 9)")
    assert processes.work(folder, 1) == "rank 0 was ended by SIGKILL"


def test_an_end_from_outside_leaves_no_rank(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks_do(folder, "time.sleep(60)")
    note = folder / "rank-alone"

    def interrupted(_seconds: float) -> None:
        if note.exists() and note.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(processes.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.work(folder, 1)
    assert note.read_text()
    assert not lives(note)

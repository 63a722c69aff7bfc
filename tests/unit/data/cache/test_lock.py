"""One holder at a time, and none that is dead."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lorafw.data.cache import lock
from lorafw.data.cache.lock import locked, locked_if_free

HOLD = """
import sys, time
from pathlib import Path
from lorafw.data.cache.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_file_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with locked(path):
        assert path.exists()
        with locked_if_free(path) as free:
            assert not free
    assert not path.exists()
    with locked_if_free(path) as free:
        assert free
    assert not path.exists()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locked_if_free(path) as free:
            assert not free
        holder.kill()
    with locked_if_free(path) as free:
        assert free


def test_waiting_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    path, told, heard = tmp_path / "x.lock", [], threading.Event()

    def wait() -> None:
        def tell() -> None:
            told.append("waiting")
            heard.set()

        with locked(path, tell):
            told.append("mine")

    with locked(path):
        other = threading.Thread(target=wait)
        other.start()
        assert heard.wait(10)
    other.join(10)
    assert told == ["waiting", "mine"]


def test_never_two_at_once(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "x.lock", [], []

    def work() -> None:
        for _ in range(5):
            with locked(path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 20

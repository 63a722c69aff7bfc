"""Ranks that fail, hang, are killed or asked to stop; here they are scripts of a few lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lorafw.errors import Interrupted, LorafwError
from lorafw.training.launching import processes, supervisor
from lorafw.training.launching.ranks import Ranks

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
rank, attempt = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
size, notices = int(os.environ["WORLD_SIZE"]), os.environ["LORAFW_NOTICES"]
folder = Path(sys.argv[1])

def say(kind, reason, code=1, usage=False, traceback=""):
    told = dict(rank=rank, kind=kind, reason=reason, exit_code=code, time=time.time())
    told |= dict(usage=usage, traceback=traceback)
    report = Path(os.environ["LORAFW_REPORT"])
    whole = report.with_suffix(".new")  # it is read at any moment
    whole.write_text(json.dumps(told))
    whole.replace(report)
    sys.exit(code)

(folder / f"pid-{rank}-{attempt}").write_text(str(os.getpid()))
"""
Launch = Callable[..., None]


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Two ranks of a script; waiting times are short."""
    monkeypatch.setattr(processes, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(processes, "MERCY_SECONDS", 0.3)

    def run(
        script: str, nproc: int = 2, step: Callable[[], int | None] = lambda: None, **more: float
    ) -> None:
        path = tmp_path / "rank.py"
        path.write_text(HEAD + textwrap.dedent(script), encoding="utf-8")
        command = [sys.executable, str(path), str(tmp_path)]
        supervisor.launch(command, Ranks(2, **more), newest_step=step)  # type: ignore[arg-type]

    return run


def _gone(folder: Path) -> bool:
    """Whether no rank that ever started is left."""
    numbers = [int(path.read_text()) for path in folder.glob("pid-*")]
    assert numbers
    return not any(Path(f"/proc/{number}/cmdline").exists() for number in numbers)


def test_all_well(launch: Launch, tmp_path: Path) -> None:
    launch("(folder / f'done-{rank}').write_text(str(size))")
    assert [(tmp_path / f"done-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]


def test_a_refusal_comes_back_with_its_exit_code(launch: Launch, tmp_path: Path) -> None:
    with pytest.raises(LorafwError, match=r"^rank 1 failed: bad row 17\.$") as found:
        launch("say('refused', 'bad row 17.', 2) if rank else time.sleep(60)")
    assert found.value.exit_code == 2
    assert _gone(tmp_path)


def test_a_rank_that_hangs_is_killed(launch: Launch, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LorafwError, match=r"rank 0 failed: it was killed by SIGKILL"):
        launch(
            """
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1) or os.kill(os.getpid(), signal.SIGKILL) if rank == 0 else time.sleep(60)
            """
        )
    assert time.monotonic() - began < 20
    assert _gone(tmp_path)


def test_who_only_lost_contact_is_not_to_blame(launch: Launch) -> None:
    with pytest.raises(LorafwError, match="rank 1 failed: ValueError: oh"):
        launch(
            """
            if rank == 0:
                say("lost contact", "another rank is gone.")
            time.sleep(0.1)  # leaving takes longer than the other's hearing of it
            say("crashed", "ValueError: oh")
            """
        )


def test_the_traceback_is_shown_once(launch: Launch, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LorafwError):
        launch("say('crashed', 'ValueError: oh', traceback='Traceback: here\\n')")
    assert capfd.readouterr().err.count("Traceback") == 1


def test_an_exit_code_without_a_word(launch: Launch) -> None:
    with pytest.raises(LorafwError, match="rank 1 failed: it ended with exit code 7") as found:
        launch("sys.exit(7 * rank)")
    assert found.value.exit_code == 7


def test_a_killed_rank_is_started_again_and_says_why(launch: Launch, tmp_path: Path) -> None:
    launch(
        """
        if attempt == 0 and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if attempt == 0:
            time.sleep(60)
        (folder / f"again-{rank}").write_text(" ".join([notices, *sys.argv[2:]]))
        """,
        max_restarts=1,
        step=lambda: 7,
    )
    told = (tmp_path / "again-0").read_text()
    assert "Rank 1 failed: it was killed by SIGKILL" in told
    assert "Going on from step 7 (restart 1 of 1)." in told
    assert told.endswith("--resume")
    assert (tmp_path / "again-1").exists()


def test_a_killed_rank_can_be_left_out(launch: Launch, tmp_path: Path) -> None:
    launch(
        """
        if attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL) if rank == 1 else time.sleep(60)
        (folder / f"again-{rank}").write_text(f"{size} {notices}")
        """,
        max_restarts=1,
        min_nproc=1,
    )
    told = (tmp_path / "again-0").read_text()
    assert told.startswith("1 ")
    assert "The number of ranks is 1 instead of 2 now." in told
    assert not (tmp_path / "again-1").exists()


@pytest.mark.parametrize("kind", ["refused", "crashed"])
def test_what_would_only_happen_again_is_not_tried_again(
    kind: str, launch: Launch, tmp_path: Path
) -> None:
    with pytest.raises(LorafwError):
        launch(f"say('{kind}', 'no')", max_restarts=3)
    assert not (tmp_path / "pid-0-1").exists()


def test_restarts_come_to_an_end(launch: Launch, tmp_path: Path) -> None:
    with pytest.raises(LorafwError, match="killed by SIGKILL"):
        launch("os.kill(os.getpid(), signal.SIGKILL)", max_restarts=2)
    assert len(list(tmp_path.glob("pid-0-*"))) == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_ranks_finish_their_step(
    number: signal.Signals, code: int, launch: Launch, tmp_path: Path
) -> None:
    _signal_later(number, tmp_path)
    with pytest.raises(Interrupted, match=r"^stopped after step 5\.$") as found:
        launch(
            f"""
            def stop(*_):
                time.sleep(0.2)
                (folder / f"saved-{{rank}}").touch()
                say("stopped", "stopped after step 5.", {code})
            signal.signal({int(number)}, stop)
            (folder / f"ready-{{rank}}").touch()
            time.sleep(60)
            """
        )
    assert found.value.exit_code == code
    assert (tmp_path / "saved-0").exists()
    assert (tmp_path / "saved-1").exists()
    assert _gone(tmp_path)


def test_ranks_that_do_not_stop_in_time_are_killed(launch: Launch, tmp_path: Path) -> None:
    _signal_later(signal.SIGTERM, tmp_path)
    with pytest.raises(Interrupted, match="took too long") as found:
        launch(
            """
            signal.signal(signal.SIGTERM, lambda *_: None)
            (folder / f"ready-{rank}").touch()
            while True: time.sleep(60)
            """,
            stop_timeout=0.3,
        )
    assert found.value.exit_code == 143
    assert _gone(tmp_path)


def test_signal_handlers_are_given_back(launch: Launch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    launch("")
    assert signal.getsignal(signal.SIGTERM) is before


def _signal_later(number: signal.Signals, folder: Path) -> None:
    """To this process, once both ranks are ready."""

    def send() -> None:
        while len(list(folder.glob("ready-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def test_ranks_end_with_their_launcher(tmp_path: Path) -> None:
    """A launcher that is killed can tell nobody; ranks notice by themselves."""
    rank = """
        import os, signal, sys, time
        from pathlib import Path
        from lorafw.training.launching import in_rank
        from lorafw.training.launching import worker
        worker.ORPHAN_SECONDS = 0.2
        with in_rank():
            signal.signal(signal.SIGTERM, lambda *_: None)  # deaf to the polite way
            Path(sys.argv[1], f"pid-{os.environ['RANK']}").write_text(str(os.getpid()))
            while True:
                time.sleep(60)
    """
    (tmp_path / "rank.py").write_text(textwrap.dedent(rank), encoding="utf-8")
    launch = f"""
        from lorafw.training.launching.ranks import Ranks
        from lorafw.training.launching.supervisor import launch
        launch([{sys.executable!r}, {str(tmp_path / "rank.py")!r}, {str(tmp_path)!r}], Ranks(2))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(launch)])
    try:
        while len(list(tmp_path.glob("pid-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    end = time.monotonic() + 20
    while not _gone(tmp_path):
        assert time.monotonic() < end, "ranks outlive their launcher"
        time.sleep(0.05)

"""`lorafw generate` killed and continued, and `lorafw chat` in a terminal, as processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LORAFW = [sys.executable, "-m", "lorafw"]
PATIENCE = 90.0


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    animals = ("camel", "wolf", "rabbit", "whale")
    texts = [f"The {animal} {'and the fox ' * n}" for n in range(40) for animal in animals]
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return path


@pytest.mark.parametrize("seen", [1, 30, 120])
def test_killed_and_continued_is_as_if_never_killed(rows: Path, seen: int) -> None:
    flags = ["--input", str(rows), "--batch-tokens", "1500", "--max-new-tokens", "40"]
    flags += ["--temperature", "0.9", "--seed", "5"]
    whole, torn = rows.with_name("whole.jsonl"), rows.with_name("torn.jsonl")
    command = [*LORAFW, "generate", "lorafw:demo", *flags, "--output"]
    subprocess.run([*command, str(whole)], check=True, timeout=PATIENCE)
    with subprocess.Popen([*command, str(torn)]) as process:
        end = time.monotonic() + PATIENCE
        while not torn.exists() or torn.read_bytes().count(b"\n") < seen:
            assert time.monotonic() < end, "no row came"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert torn.read_bytes().count(b"\n") < whole.read_bytes().count(b"\n"), "it was too late"
    subprocess.run([*command, str(torn), "--resume"], check=True, timeout=PATIENCE)
    assert torn.read_bytes() == whole.read_bytes()


def test_a_reader_that_goes_away_is_one_line(rows: Path) -> None:
    command = [*LORAFW, "generate", "lorafw:demo", "--input", str(rows), "--batch-tokens", "900"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (1, "Error: whoever read the answers is gone.\n")


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, words: list[str]) -> None:
        self.process, self._file = pty.fork()
        if self.process == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it
            os.execv(words[0], words)

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def until(self, mark: str) -> str:
        """What is shown up to a text."""
        shown, end = "", time.monotonic() + PATIENCE
        while mark not in shown:
            assert time.monotonic() < end, shown
            if select.select([self._file], [], [], 0.1)[0]:
                shown += os.read(self._file, 1 << 16).decode(errors="replace")
        return shown

    def ended(self) -> int:
        """The exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal([*LORAFW, "chat", "lorafw:demo", "--max-new-tokens", "5000"])
    yield found
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(found.process, signal.SIGKILL)
        os.waitpid(found.process, 0)


def test_a_terminal_conversation(terminal: Terminal) -> None:
    terminal.until("> ")
    terminal.type("/adapter\n")
    assert "there are: none." in terminal.until("none.\r\n> ")
    terminal.type("The camel\x03")
    terminal.until("\r\n> ")
    terminal.type("The camel\n")
    assert "camel" in terminal.until("\r\n> ").partition("\r\n")[2]
    terminal.type("\x04")
    assert terminal.ended() == 0

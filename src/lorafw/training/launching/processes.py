"""The ranks of this machine as processes: started, watched, and ended without exception."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lorafw.training.launching.failure import Failure, read_report, without_a_word
from lorafw.training.launching.worker import REPORT

GLANCE_SECONDS = 0.05
SETTLE_SECONDS = 3.0
"""How long ranks may take to end by themselves after the first has failed."""
MERCY_SECONDS = 7.0
"""How long they may take after they were told to."""


class LocalRanks:
    """Ranks that this process started.

    Args:
        command: of every rank.
        environments: what each rank's environment has beside this process's.
        reports: an empty folder, where ranks leave their failures.
    """

    def __init__(
        self, command: Sequence[str], environments: Sequence[Mapping[str, str]], reports: Path
    ) -> None:
        self._numbers = [int(environment["RANK"]) for environment in environments]
        self._reports = [reports / f"{number}.json" for number in self._numbers]
        self._found: dict[int, Failure] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for environment, report in zip(environments, self._reports, strict=True):
                self._processes.append(_start(command, {**environment, REPORT: str(report)}))
        except BaseException:
            self.kill()
            raise

    @property
    def running(self) -> bool:
        """Whether any rank still lives."""
        return any(process.poll() is None for process in self._processes)

    def failures(self) -> list[Failure]:
        """What is known by now: words that ranks left, and exit codes of those that left none."""
        for number, process, report in self._all():
            if told := read_report(report):
                self._found[number] = told
            elif process.poll() and number not in self._found:
                self._found[number] = without_a_word(number, process.returncode, time.time())
        return list(self._found.values())

    def settle(self) -> list[Failure]:
        """All failures, once no rank is left; those that have to be ended have not failed."""
        self._wait(SETTLE_SECONDS)
        failures = {failure.rank: failure for failure in self.failures()}
        self._tell(signal.SIGTERM)
        self._wait(MERCY_SECONDS)
        self.kill()
        told = {number: told for number, _, report in self._all() if (told := read_report(report))}
        return list({**failures, **told}.values())

    def stop(self, number: signal.Signals, seconds: float, hurry: Callable[[], bool]) -> bool:
        """Pass a signal on, and wait; False if some rank had to be killed.

        Args:
            number: the signal.
            seconds: how long ranks may take, for the step at hand and a checkpoint.
            hurry: whether to wait no longer.
        """
        self._tell(number)
        self._wait(seconds, hurry)
        in_time = not self.running
        self.kill()
        return in_time

    def kill(self) -> None:
        """End every rank, and what it may have started."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _all(self) -> list[tuple[int, subprocess.Popen[bytes], Path]]:
        return list(zip(self._numbers, self._processes, self._reports, strict=True))

    def _tell(self, number: signal.Signals) -> None:
        for process in self._processes:
            process.send_signal(number)

    def _wait(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end and not hurry():
            time.sleep(GLANCE_SECONDS)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """One rank, in a session of its own: Ctrl-C reaches the launcher alone, which passes it on."""
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, env={**os.environ, **environment}, start_new_session=True
    )

"""Supervisor: starts this machine's ranks, watches them, and starts them again where it helps."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lorafw.training.launching.contact import LostContact
from lorafw.training.launching.devices import Devices
from lorafw.training.launching.endings import failed, stopped
from lorafw.training.launching.failure import Failure, cause
from lorafw.training.launching.line import Watch, within
from lorafw.training.launching.meeting import TELL_SECONDS, WORD_SECONDS, Meeting, Place, Verdict
from lorafw.training.launching.processes import GLANCE_SECONDS, LocalRanks
from lorafw.training.launching.ranks import Ranks
from lorafw.training.launching.restarts import Progress, fewer, may_help
from lorafw.training.launching.signals import Heard, signals_noted
from lorafw.training.launching.variables import environments
from lorafw.training.launching.worker import NOTICES

NewestStep = Callable[[], "int | None"]


def launch(
    command: Sequence[str],
    ranks: Ranks,
    *,
    notices: Sequence[str] = (),
    newest_step: NewestStep = lambda: None,
    patience: float = 1800.0,
) -> None:
    """Run a command as every rank of this machine and wait for the job's end.

    Args:
        command: of every rank; `--resume` is added after a restart.
        ranks: how many, and where the others are.
        notices: for rank 0 to tell.
        newest_step: step of the newest checkpoint; asked on node 0.
        patience: seconds to wait for other nodes.

    Raises:
        LorafwError: the failure that the others followed from, with an exit code of its own.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of every failed connection
    with signals_noted() as heard:
        try:
            _Supervisor(command, ranks, notices, newest_step, patience, heard).run()
        except LostContact:
            if heard.first is None:
                raise
            raise stopped(heard, [], in_time=True) from None


class _Supervisor:
    def __init__(
        self,
        command: Sequence[str],
        ranks: Ranks,
        notices: Sequence[str],
        newest_step: NewestStep,
        patience: float,
        heard: Heard,
    ) -> None:
        self._command, self._ranks, self._notices = list(command), ranks, list(notices)
        self._newest_step, self._heard = newest_step, heard
        self._nproc, self._world_size = ranks.nproc, 0
        self._devices = Devices()
        self._meeting = Meeting(ranks, patience, lambda: heard.first is not None)

    def run(self) -> None:
        """Attempts, until one ends well or there is no use in another."""
        attempt = 0
        while True:
            before = self._newest_step()
            place = self._gather(attempt)
            failures = self._attempt(attempt, place)
            if failures is None:
                self._meeting.finish(attempt, place.nodes)
                return
            progress = Progress(before, self._newest_step())
            verdict = self._verdict(attempt, place, failures, progress)
            sys.stderr.write(verdict.cause.traceback)
            if not verdict.again:
                raise failed(verdict.cause)
            attempt += 1
            self._notices = [self._restart_notice(attempt, verdict.cause, progress.after)]
            self._prepare(place, failures)

    def _gather(self, attempt: int) -> Place:
        place = self._meeting.gather(attempt, self._nproc)
        if attempt and place.world_size != self._world_size:
            ranks = f"{place.world_size} instead of {self._world_size}"
            self._notices.append(f"The number of ranks is {ranks} now.")
        self._world_size = place.world_size
        return place

    def _attempt(self, attempt: int, place: Place) -> list[Failure] | None:
        """Start the ranks and wait; None if all went well.

        Nothing in the list means that another node failed.
        """
        with tempfile.TemporaryDirectory() as reports:
            local = LocalRanks(self._command, self._environments(attempt, place), Path(reports))
            watch = None if self._meeting.alone else self._meeting.watch(attempt)
            try:
                return self._watched(attempt, local, watch)
            finally:
                local.kill()
                if watch is not None:
                    watch.end()

    def _environments(self, attempt: int, place: Place) -> list[dict[str, str]]:
        address = (self._meeting.host, self._meeting.port)
        more = {NOTICES: json.dumps(self._notices), **self._devices.variables}
        found = environments(place, self._ranks.node, self._nproc, attempt, address)
        return [{**variables, **more} for variables in found]

    def _watched(
        self, attempt: int, local: LocalRanks, watch: Watch | None
    ) -> list[Failure] | None:
        while local.running and not local.failures() and not (watch and watch.over):
            if self._heard.first is not None:
                self._stop(attempt, local)
            time.sleep(GLANCE_SECONDS)
        if not local.running and not local.failures():
            return None
        return local.settle()

    def _stop(self, attempt: int, local: LocalRanks) -> None:
        """Let the ranks write a checkpoint, and end.

        Raises:
            LorafwError: always, unless the ranks were done anyway.
        """
        heard = self._heard
        in_time = local.stop(heard.for_ranks, self._ranks.stop_timeout, lambda: heard.again)
        failures = local.failures()
        if failures:
            with suppress(LostContact, RuntimeError):
                within(TELL_SECONDS, lambda: self._meeting.tell(attempt, failures))
            sys.stderr.write(cause(failures).traceback)
            raise stopped(heard, failures, in_time=in_time)

    def _verdict(
        self, attempt: int, place: Place, failures: list[Failure], progress: Progress
    ) -> Verdict:
        if self._meeting.alone:
            return self._judged(attempt, failures, progress)
        try:
            return self._agreed(attempt, place, failures, progress)
        except (LostContact, RuntimeError):  # torch's errors of a store that is gone
            gone = "node 0 cannot be reached any more; the network, or node 0, has failed."
            lost = Failure(place.first_rank, "lost contact", gone)
            return Verdict(cause(failures or [lost]), again=False)

    def _agreed(
        self, attempt: int, place: Place, failures: list[Failure], progress: Progress
    ) -> Verdict:
        """The same on every node: node 0 hears all and decides."""
        within(TELL_SECONDS, lambda: self._meeting.tell(attempt, failures))
        if self._ranks.node != 0:
            return within(4 * WORD_SECONDS, lambda: self._meeting.verdict(attempt))
        told = self._meeting.told(attempt, place.nodes)
        verdict = self._judged(attempt, told, progress)
        self._meeting.decide(attempt, verdict, place.nodes)
        return verdict

    def _judged(self, attempt: int, failures: list[Failure], progress: Progress) -> Verdict:
        first = cause(failures)
        more = attempt < self._ranks.max_restarts and self._heard.first is None
        return Verdict(first, more and may_help(first, progress))

    def _prepare(self, place: Place, failures: list[Failure]) -> None:
        """Without the ranks that the kernel killed, if fewer are enough."""
        killed = [f.rank - place.first_rank for f in failures if f.killed_by_signal]
        before, fewest = self._nproc, self._ranks.fewest
        self._nproc = fewer(before, fewest, len(killed))
        if self._nproc < before:
            self._devices.leave_out(killed[: before - self._nproc])
        if "--resume" not in self._command:
            self._command.append("--resume")

    def _restart_notice(self, attempt: int, first: Failure, step: int | None) -> str:
        since = "the beginning" if step is None else f"step {step}"
        what = f"Rank {first.rank} failed: {first.reason.rstrip('.')}."
        return f"{what} Going on from {since} (restart {attempt} of {self._ranks.max_restarts})."

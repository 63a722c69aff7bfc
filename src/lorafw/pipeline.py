"""One run, top to bottom: compose, tokenizer, data, trainer, model, inject, scenario, export."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lorafw import run_folder
from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import AnyConfig, RunConfig, as_config, resolved, write_resolved
from lorafw.assembly.hooks import Announcer
from lorafw.assembly.registry import Registry
from lorafw.builtin.event_log import EventLog
from lorafw.builtin.trackers.report import Report
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.trainer import RunningTrainer
from lorafw.run_folder import RunFolder
from lorafw.training import launching
from lorafw.training.checkpoints.fingerprint import check_accepted, flags_of
from lorafw.training.launching.agreement import check_same, digests
from lorafw.training.launching.ranks import Ranks


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves.

    Attributes:
        folder: the run's folder.
        exports: folders of what was exported, by exporter name.
        record: what `run.json` holds.
    """

    folder: Path
    exports: Mapping[str, Path] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def adapter(self) -> Path | None:
        """The exported adapter, if there is one."""
        return self.exports.get("adapter")

    @property
    def evaluation_before(self) -> Mapping[str, float]:
        """Held-out figures from before the first step; empty without held-out rows."""
        figures: Mapping[str, float] = self.record.get("evaluation_before", {})
        return figures

    @property
    def evaluation(self) -> Mapping[str, float]:
        """Held-out figures of the model as it was left; empty without held-out rows."""
        figures: Mapping[str, float] = self.record.get("evaluation", {})
        return figures


def run(
    config: AnyConfig,
    *,
    resume: bool = False,
    accept_changed: Collection[str] = (),
    nproc: int = 1,
    ranks: Ranks | None = None,
    notices: Sequence[str] = (),
) -> RunResult:
    """Train as a config says; what `lorafw run` does.

    Args:
        config: a config, plain values laid out as in a config file, or the path of such a file.
        resume: continue from the newest checkpoint in the run's folder, if there is one.
        accept_changed: parts of the run that may differ from those the checkpoint was written
            with: data, held-out, tokenizer, template, base, adapter, objective, plan, scenario,
            seed.
        nproc: ranks to start on this machine; ignored inside a launcher that has started some.
        ranks: the same, with other machines and restarts; goes before `nproc`.
        notices: sentences to show the user with the others.

    Raises:
        LorafwError: what is wrong, where, and how to mend it.
    """
    check_accepted(accept_changed, resume=resume)
    ranks, launcher = ranks or Ranks(nproc), launching.adopt()
    with launching.in_rank():
        registry = Registry()
        config = as_config(config, registry)
        parts = compose(config, registry)
        notices = (*config.notices, *notices)
        if ranks.watched and not launcher:
            resumed = [*resume * ["--resume"], *flags_of(accept_changed)]
            return _run_on_ranks(config, parts, resumed, ranks=ranks, notices=notices)
        notices = (*notices, *launching.handed_notices(), *launching.unheeded(ranks, launcher))
        run = _Run(config, parts, resume=resume, accept_changed=accept_changed, notices=notices)
        return run.execute()


def _run_on_ranks(
    config: RunConfig, parts: Parts, resumed: Sequence[str], *, ranks: Ranks, notices: Sequence[str]
) -> RunResult:
    """Settle folder and config here, and hand every rank of this machine the same.

    `resumed` are the flags that say what to continue; a new run has none. The folder is on
    machine 0; another one has nothing to return.
    """
    from lorafw.training.launching.supervisor import launch

    folder = None
    if ranks.node == 0:
        folder = run_folder.choose(config.run.output, config.run.name, resume=bool(resumed))
        run_folder.prepare(folder)
        config = replace(config, run=config.run.model_copy(update={"output": folder.path}))
    with tempfile.TemporaryDirectory() as place:
        settled = Path(place) / "run.yaml"
        write_resolved(resolved(config, parts), settled)
        launch(
            [sys.executable, "-m", "lorafw", "run", "--config", str(settled), *resumed],
            ranks,
            notices=notices,
            newest_step=lambda: folder.newest_step if folder is not None else None,
            patience=max(120.0, 60 * getattr(parts.trainer, "timeout_minutes", 30.0)),
        )
    if folder is None:
        return RunResult(config.run.output or Path("runs") / config.run.name)
    return _result(folder, folder.read_record())


def _result(folder: RunFolder, record: Mapping[str, Any]) -> RunResult:
    exports = {name: folder.path / path for name, path in record["exports"].items()}
    return RunResult(folder.path, exports, record)


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        config: RunConfig,
        parts: Parts,
        *,
        resume: bool,
        accept_changed: Collection[str],
        notices: Sequence[str],
    ) -> None:
        self._config, self._parts = config, parts
        self._resume, self._notices = resume, notices
        self._accept_changed = accept_changed
        self._leads = os.environ.get("RANK", "0") == "0"
        # A worker's folder was chosen, and seen to be free, by the process that launched it.
        owned = resume or launching.is_worker()
        self._folder = run_folder.choose(config.run.output, config.run.name, resume=owned)
        self._emit = Announcer()

    def execute(self) -> RunResult:
        """Run, and tell the listeners how it ended."""
        try:
            self._open()
            return self._train()
        except BaseException as error:
            self._emit("run_failed", error=str(error) or type(error).__name__)
            raise

    def _open(self) -> None:
        if not self._leads:
            return
        run_folder.prepare(self._folder)
        values = self._resolved()
        if not (self._resume and self._folder.config.exists()):
            write_resolved(values, self._folder.config)
        listeners = [*self._parts.listeners]
        for joins in (EventLog, Report):
            if not any(isinstance(listener, joins) for listener in listeners):
                listeners.append(joins())
        self._emit = Announcer(listener.open(self._folder.path) for listener in listeners)
        self._emit("run_start", folder=self._folder.path, config=values)
        for notice in self._notices:
            self._emit("notice", message=notice)

    def _resolved(self) -> dict[str, Any]:
        run = self._config.run.model_copy(update={"output": self._folder.path})
        return resolved(replace(self._config, run=run), self._parts)

    def _train(self) -> RunResult:
        from lorafw._work import Work

        self._emit("stage_start", stage="data")
        work = Work(self._config, self._parts, self._emit)
        work.read_data()  # before ranks wait for each other: reading takes as long as it takes
        running = self._parts.trainer.start()
        try:
            with launching.failures_reported():
                return self._drive(work, running)
        finally:
            running.close()

    def _drive(self, work: Any, running: RunningTrainer) -> RunResult:
        mine = digests(self._resolved())
        path, leading = running.share((self._folder.path, mine))
        check_same(mine, leading, running.world.rank)
        folder = RunFolder(path)
        self._emit("stage_start", stage="model")
        session = work.session(
            running, folder, resume=self._resume, accept_changed=self._accept_changed
        )
        self._settle(work.plan, folder, running.world.rank)
        self._parts.scenario.run(session)
        record = work.record(session)
        if running.world.rank == 0:
            # Only now: had the resume been refused, the folder's own config would be lost.
            write_resolved(self._resolved(), folder.config)
            folder.write_record(record)
            self._emit("run_end", folder=folder.path, result=record)
        return _result(folder, record)

    def _settle(self, plan: TrainPlan, folder: RunFolder, rank: int) -> None:
        """Write down at once what the plan left open: the run may never come to its end."""
        self._config = replace(self._config, plan=plan)
        if rank == 0 and not self._resume:
            write_resolved(self._resolved(), folder.config)

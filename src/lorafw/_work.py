"""The heavy half of a run: rows, model, adapter, job."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lorafw
from lorafw.assembly.compose import Parts
from lorafw.assembly.config import RunConfig
from lorafw.certification.recipes import recipe_of
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.exporter import ExportRequest
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.model import ModelBundle, ModelRequest
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Task
from lorafw.contracts.trainer import Emit, RunningTrainer, TrainJob
from lorafw.data.cache.place import cache_folder
from lorafw.data.cache.rows import RowCache
from lorafw.data.cache.run_rows import Source, joined, prepare_each, sources_of
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.prepare import Prepared
from lorafw.data.encoded.row_numbers import RowNumbers, TaskRowNumbers
from lorafw.data.rendering.context import within_context
from lorafw.errors import CompositionError, ConfigError
from lorafw.planning.forecast import Rows
from lorafw.planning.foresight import Foresight
from lorafw.planning.process_memory import peak_memory
from lorafw.planning.run_settling import RunSettling
from lorafw.run_folder import RunFolder
from lorafw.session import RunSession
from lorafw.training.allocator import set_allocator
from lorafw.training.best import check_held_out_rows
from lorafw.training.checkpoints import identity
from lorafw.training.checkpoints.settled import kept_in, settled_options
from lorafw.training.fresh_start import start_from_rows
from lorafw.training.threads import threads_in_use, use_cores
from lorafw.types import Layout, Split


class Work:
    """Turns the parts of a run into a session that a scenario can drive."""

    def __init__(self, config: RunConfig, parts: Parts, emit: Emit) -> None:
        set_allocator(parts.plan.allocator)
        use_cores()
        self._config, self._parts, self._emit = config, parts, emit
        self._tokenizer = parts.model.tokenizer()
        self._encoder = within_context(parts.encoder, self._tokenizer)
        self._sources = sources_of(parts, self._tokenizer, parts.plan.epochs)
        self._by_source: list[tuple[Prepared, Prepared]] = []
        self._train: Prepared
        self._foresight: Foresight | None = None
        self._held_out: Prepared | None = None

    def read_data(self) -> None:
        """Read and encode the rows of both splits, or find them encoded."""
        folder = cache_folder() if self._config.run.cache else None
        cache = RowCache(folder, self._notice, self._encoded)
        train, held_out = (
            prepare_each(self._sources, self._tokenizer, split, cache, self._notice)
            for split in (Split.TRAIN, Split.EVAL)
        )
        self._by_source = list(zip(train, held_out, strict=True))
        self._train, whole = joined(self._sources, train), joined(self._sources, held_out)
        self._held_out = whole if whole.rows else None
        for source, each in zip(self._sources, held_out, strict=True):
            self._check_held_out(source, each)

    def _check_held_out(self, source: Source, held_out: Prepared) -> None:
        with self._config.origins.blame("plan"):
            try:
                check_held_out_rows(self._parts.plan, held_out.rows)
            except ConfigError as error:
                error.what = source.named(error.what)
                raise

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What is trained, in order; one task named `train` for a run of one dataset."""
        metrics = [tuple(part.metrics) for part in self._parts.tasks] or [()]
        return tuple(
            Task(source.task or "train", train.rows, held_out.rows, source.epochs, judges)
            for source, (train, held_out), judges in zip(
                self._sources, self._by_source, metrics, strict=True
            )
        )

    def _notice(self, message: str) -> None:
        self._emit("notice", message=message)

    def _encoded(self, done: int, total: int) -> None:
        self._emit("rows_encoded", done=done, total=total)

    def session(
        self,
        running: RunningTrainer,
        folder: RunFolder,
        *,
        resume: bool,
        accept_changed: Collection[str] = (),
    ) -> RunSession:
        """Load the model, inject the adapter, and put the job together."""
        seed = self._config.run.seed
        rows = Rows(self._train, self._encoder, self._tokenizer, seed)
        settling = RunSettling(self._parts, rows, running, self._emit)
        kept = kept_in(folder.checkpoints) if resume else {}
        parts = self._parts = replace(self._parts, plan=settling.settle(kept))
        labels = parts.dataset.labels
        request = ModelRequest(parts.objective.task, running.world.device, seed, labels)
        bundle = parts.model.build(request, self._tokenizer)
        layout = self._layout(bundle)
        model = parts.injector.inject(bundle)
        model.reset(seed)
        job = TrainJob(
            model=model,
            objective=parts.objective,
            encoder=self._encoder,
            rows=self._train.rows,
            plan=parts.plan,
            layout=layout,
            eval_rows=self._held_out.rows if self._held_out else (),
            seed=seed,
            emit=self._emit,
            resume=resume,
            fingerprint=self._fingerprint(model),
            accept_changed=accept_changed,
            row_name=self._row_numbers(),
            prefix_cache=folder.path if parts.injector.caches_prefix else None,
        )
        if parts.plan.micro_batch_tokens == "calibrate":
            job = replace(job, plan=settling.calibrate(job))
            self._parts = replace(parts, plan=job.plan)
        self._foresight = settling.foresight
        # Rank 0's answer: only its machine may have the folder.
        if not running.share(resume and folder.newest_step is not None):
            self._start(job, running)
        return self._over(job, running, folder)

    def _over(self, job: TrainJob, running: RunningTrainer, folder: RunFolder) -> RunSession:
        """What a scenario drives, with the job that its stages derive their own from."""
        parts = self._parts
        names = [_plain_name(name) for name in parts.names["exporters"]]
        return RunSession(
            running,
            job,
            self._request(job.model, folder.path),
            dict(zip(names, parts.exporters, strict=True)),
            folder.path,
            tasks=self.tasks if parts.tasks else (),
            task_parts=parts.tasks,
        )

    @property
    def plan(self) -> TrainPlan:
        """The run's plan; with nothing left open once there is a session."""
        return self._parts.plan

    def _start(self, job: TrainJob, running: RunningTrainer) -> None:
        if rows := min(job.model.start_rows, len(job.rows)):
            self._notice(f"The adapter starts from what {rows} training rows show.")
        start_from_rows(job, running)

    def _row_numbers(self) -> Callable[[int], str]:
        numbers = {
            source.task: RowNumbers(
                source.dataset,
                source.encoder,
                self._tokenizer,
                Split.TRAIN,
                train.report.dropped,
            )
            for source, (train, _) in zip(self._sources, self._by_source, strict=True)
        }
        rows = self._train.rows
        return TaskRowNumbers(rows, numbers) if isinstance(rows, JoinedRows) else numbers[""]

    def _layout(self, bundle: ModelBundle) -> Layout:
        wish, layouts = self._parts.plan.layout, self._parts.layouts(bundle)
        able = Layout.SEGMENTS in layouts
        if wish == "segments" and not able:
            raise CompositionError(
                "this model cannot take several rows laid end to end.",
                where="plan.layout",
                mend="Use auto or padded.",
            )
        if wish == "auto" and not able:
            self._emit("notice", message="This model takes padded batches only.")
        return layouts[0]

    def _fingerprint(self, model: AdaptedModel) -> dict[str, Any]:
        parts = self._parts
        judge = self._held_out if parts.plan.decides_by_evaluation else None
        held_out = judge.fingerprint if judge else None
        return {
            **identity.of_rows(parts.dataset, self._train.fingerprint, held_out),
            **identity.of_text(self._encoder, self._tokenizer, self._own_encoders()),
            **identity.of_model(model, parts.objective),
            **identity.of_plan(parts.plan),
            **identity.of_scenario(parts.scenario),
        }

    def _data_by_task(self) -> dict[str, Any]:
        """What became of the training rows of each task; nothing for a run without tasks."""
        pairs = zip(self._sources, self._by_source, strict=True)
        found = {source.task: asdict(train.report) for source, (train, _) in pairs if source.task}
        return {"tasks": found} if found else {}

    def _own_encoders(self) -> dict[str, Encoder]:
        """Those of tasks that do not take the run's."""
        found = {source.task: source.encoder for source in self._sources}
        return {task: encoder for task, encoder in found.items() if encoder != self._encoder}

    def _request(self, model: AdaptedModel, run: Path) -> ExportRequest:
        builder, names = self._parts.model, self._parts.names
        seed = self._config.run.seed
        recipe = recipe_of(model.bundle, builder, self._encoder, names=names, seed=seed)
        return ExportRequest(model, builder, recipe, run)

    def record(self, session: RunSession) -> dict[str, Any]:
        """What `run.json` holds."""
        result = session.result
        fit = {} if result is None else asdict(result)
        seconds = fit.get("seconds") or None
        return {
            "lorafw": lorafw.__version__,
            "world_size": session.running.world.world_size,
            **fit,
            "tokens_per_second": fit["tokens"] / seconds if seconds else None,
            "peak_memory_bytes": peak_memory(),
            "threads": threads_in_use(),
            "settled": settled_options(session.job.plan),
            "plan": self._foresight and self._foresight.record(result),
            "layout": session.job.layout.value,
            "data": {**asdict(self._train.report), **self._data_by_task()},
            "fingerprint": dict(session.job.fingerprint),
            "exports": {
                name: str(path.relative_to(session.folder))
                for name, path in session.exports.items()
            },
            **session.record,
        }


def _plain_name(name: str) -> str:
    """A folder name for what a qualified name or an import path means."""
    return re.split("[/:]", name)[-1]

"""RunSession: what a scenario drives in a real run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.assembly.task_parts import TaskParts
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.exporter import Exporter, ExportRequest
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Steer, Task, Tensors
from lorafw.contracts.trainer import FitResult, Guide, RunningTrainer, TrainJob, numbered
from lorafw.errors import Interrupted
from lorafw.inference.generation.sampling import Sampling
from lorafw.stages.drawing import draws
from lorafw.stages.embedding import embeddings
from lorafw.stages.exports import Exports
from lorafw.stages.live_values import LiveValues
from lorafw.stages.memory import RunMemory, facts_of, stored, tensors_of
from lorafw.stages.scores import Scores
from lorafw.training.checkpoints.files import Stored
from lorafw.training.guards.room import require_room
from lorafw.training.row_gradients import RowGradients
from lorafw.training.stopping import heard_signal
from lorafw.types import Encoded, Example

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class RunSession:
    """One run of one model; implements `lorafw.contracts.Session`.

    Attributes:
        running: the connected trainer.
        job: the job every stage derives its own from.
        request: what exporters are given.
        exporters: by the name they were chosen with.
        folder: the run's folder.
        tasks: in the order they were listed; if none are given, one of all the job's rows.
        task_parts: what the tasks that were given are made from and judged by.
        result: the last finished fit.
        notes: what the scenario wants to be in the record.
    """

    running: RunningTrainer
    job: TrainJob
    request: ExportRequest
    exporters: Mapping[str, Exporter]
    folder: Path
    tasks: Sequence[Task] = ()
    task_parts: Sequence[TaskParts] = ()
    result: FitResult | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know whether stages are to be remembered: those of a list of tasks are."""
        self._several = bool(self.tasks)
        self._fitted: list[str] = []
        self._training = False
        job = self.job
        self.tasks = self.tasks or (Task("train", job.rows, job.eval_rows, job.plan.epochs),)

    @property
    def model(self) -> AdaptedModel:
        """With its one live adapter."""
        return self.job.model

    @property
    def objective(self) -> Objective:
        """The run's."""
        return self.job.objective

    @property
    def plan(self) -> TrainPlan:
        """The run's."""
        return self.job.plan

    @property
    def seed(self) -> int:
        """The run's."""
        return self.job.seed

    @cached_property
    def _memory(self) -> RunMemory:
        return RunMemory(self.folder, self.running.world, self.job)

    @cached_property
    def _live(self) -> LiveValues:
        return LiveValues(self.job, self.running, self._memory)

    @cached_property
    def _exports(self) -> Exports:
        job = self.job
        return Exports(self.request, self.exporters, self.folder, job.encoder, job.emit)

    @property
    def exports(self) -> Mapping[str, Path]:
        """What was exported, by exporter name."""
        return self._exports.written

    @cached_property
    def _scores(self) -> Scores:
        return Scores(self.job, self.running, self.task_parts)

    def fit(
        self,
        stage: str,
        *,
        task: Task | None = None,
        guide: Guide | None = None,
        objective: Objective | None = None,
    ) -> FitResult:
        """Train; continues a stage that an earlier process left unfinished.

        Raises:
            Interrupted: the process was asked to stop; a checkpoint was written.
        """
        self._announce("stage_start", stage=stage)
        job = self._stage_job(stage, task or self.tasks[0], guide, objective)
        if not self._several:
            self.result = self._fit(job)
            return self.result
        facts = {"number": len(self._fitted), "task": task.name if task else ""}
        kept, remembered = self._memory.once(f"stages/{stage}", lambda: self._stage(job, facts))
        if remembered:
            self._live.become(kept)
        self._fitted.append(stage)
        self.result = FitResult(**facts_of(kept)["result"])
        return self.result

    def _stage_job(
        self, stage: str, task: Task, guide: Guide | None, objective: Objective | None
    ) -> TrainJob:
        """The run's job, for one stage."""
        job = replace(self.job, checkpoints=self.folder / "checkpoints" / stage)
        if self._several:
            plan = job.plan.model_copy(update={"epochs": task.epochs})
            job = replace(job, rows=task.rows, eval_rows=task.eval_rows, plan=plan)
            job = replace(job, row_name=self._row_names(task))
        return replace(job, guide=guide or job.guide, objective=objective or job.objective)

    def _row_names(self, task: Task) -> Callable[[int], str]:
        """What the user calls a stage's rows: by number, if they are those of a listed task."""
        start = 0
        for listed in self.tasks:
            if listed.rows is task.rows:
                return lambda row: self.job.row_name(start + row)
            start += len(listed.rows)
        return numbered

    def _stage(self, job: TrainJob, facts: Mapping[str, Any]) -> Any:
        """What is kept of a stage: the values it leaves, and how it went."""
        self._live.write()
        result = self._fit(job)
        return self._live.kept(**facts, result=asdict(result))

    def _fit(self, job: TrainJob) -> FitResult:
        if self.running.world.rank == 0:
            self._exports.foresee()
            require_room(job, self.folder, self._exports.expected_bytes)
        self._training = True
        result = self.running.fit(job)
        self._training = False
        if result.stopped:
            end = Interrupted(
                f"stopped on request after step {result.steps}.",
                mend="A checkpoint was written; continue with --resume.",
            )
            end.exit_code = 128 + heard_signal()
            raise end
        return result

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures of the model as it is."""
        self._settle()
        return self.running.evaluate(self.job)

    def score(self, stage: str, task: Task, *, steer: Steer | None = None) -> Mapping[str, float]:
        """Figures of the live model on a task's held-out rows; remembered."""
        self._settle()
        return self._scores.score(self._memory, stage, task, steer)

    def once(self, name: str, compute: Callable[[], Tensors]) -> Tensors:
        """What `compute` gives, computed once and kept in the run's folder."""
        kept, _ = self._memory.once(f"kept/{name}", lambda: stored(compute()))
        return tensors_of(kept)

    def values(self) -> Tensors:
        """A copy of the trainable parameters as they are now."""
        return self._live.now()

    def load(self, values: Tensors) -> None:
        """Write values into the trainable parameters; a fit then begins from them."""
        self._live.load(values)
        self._live.write()

    def reset(self) -> None:
        """Make the trainable parameters what they were before any training."""
        self._live.reset()

    def gradient(self, rows: Sequence[Encoded], *, squared: bool = False) -> Tensors:
        """The gradient of the loss of given rows at the live values, without dropout."""
        self._settle()
        gradients = RowGradients(self.job, self.running, rows)
        self.model.train(mode=False)
        found = gradients.mean_squared() if squared else gradients.mean()
        self.model.train(mode=self._training)
        return found

    def embed(self, rows: Sequence[Encoded]) -> Tensor:
        """The base's mean hidden row over each row's prompt: [rows, width], fp32 on the CPU."""
        return embeddings(self.job, self.running, rows)

    def draw(
        self,
        name: str,
        prompts: Sequence[Encoded],
        *,
        new_tokens: int,
        ends: Collection[int],
        temperature: float = 1.0,
        top_k: int = 0,
    ) -> Sequence[Sequence[int]]:
        """What the live model goes on with behind prompts, drawn at random; remembered."""
        sampling = Sampling(max_new_tokens=new_tokens, temperature=temperature, top_k=top_k)

        def drawn() -> Stored:
            self._settle()
            return stored(draws=draws(self.job, self.running, name, prompts, sampling, ends))

        kept, _ = self._memory.once(f"draws/{name}", drawn)
        found: list[list[int]] = facts_of(kept)["draws"]
        return found

    def prompt(self, task: Task, example: Example) -> Encoded:
        """What the model is given of a task's example before it answers."""
        return self._encoder_of(task).prompt(example, self.model.bundle.tokenizer)

    def longest(self, task: Task) -> int:
        """Most tokens of a row of a task; the adapter's virtual ones take their own room."""
        room = self.model.bundle.tokenizer.model_max_length - self.model.spec.virtual_tokens
        return min(self._encoder_of(task).max_length, room)

    def _encoder_of(self, task: Task) -> Encoder:
        own = {part.name: part.encoder for part in self.task_parts}
        return own.get(task.name, self.job.encoder)

    def save_adapter(self, name: str) -> None:
        """Export the live adapter to the folder `name` in the run's folder."""
        self._settle()
        with self.running.full_parameters(self.job.model.bundle.module):
            if self.running.world.rank == 0:
                self._exports.write_adapter(name)

    def note(self, **facts: object) -> None:
        """Write JSON values, by key, into the run's record."""
        self.notes.update(facts)

    @property
    def record(self) -> dict[str, Any]:
        """What `run.json` holds of stages and scores."""
        scores = self._scores.record([task.name for task in self._trained()])
        return {**({"scores": scores} if scores else {}), **self.notes}

    def _trained(self) -> Sequence[Task]:
        """The tasks in the order in which they were trained; those that were not, behind."""
        order = {name: at for at, name in reversed(list(enumerate(self._fitted)))}
        return sorted(self.tasks, key=lambda task: order.get(task.name, len(order)))

    def _settle(self) -> None:
        """See that the live values are what the scenario thinks they are."""
        if self._several:
            self._live.write()

    def export(self) -> None:
        """Run every exporter on rank 0, while the weights are whole on every rank.

        Raises:
            ExportError: one cannot be written, or is not the model that was trained; those before
                it are there.
        """
        self._settle()
        self._announce("stage_start", stage="export")
        with self.running.full_parameters(self.job.model.bundle.module):
            if self.running.world.rank == 0:
                self._exports.write_all()

    def _announce(self, event: str, **payload: object) -> None:
        if self.running.world.rank == 0:
            self.job.emit(event, **payload)

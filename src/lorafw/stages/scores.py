"""What each task was scored with after each stage: measured once, kept, and told at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from lorafw.evaluation.live import Scored, own_figure, score_live
from lorafw.inference.loaded import LoadedModel
from lorafw.stages.memory import RunMemory, facts_of, stored
from lorafw.types import Split

if TYPE_CHECKING:
    from lorafw.assembly.task_parts import TaskParts
    from lorafw.contracts.scenario import Steer, Task
    from lorafw.contracts.trainer import RunningTrainer, TrainJob

LOSS = "loss"


class Scores:
    """The figures of every task, by stage; `score` is collective.

    Args:
        job: whose model.
        running: the ranks that share the rows.
        parts: what each task's rows are made from and judged by.
    """

    def __init__(self, job: TrainJob, running: RunningTrainer, parts: Sequence[TaskParts]) -> None:
        self._job, self._running = job, running
        self._parts = {part.name: part for part in parts}
        self._figures: dict[str, dict[str, Mapping[str, float]]] = {}

    def score(
        self, memory: RunMemory, stage: str, task: Task, steer: Steer | None
    ) -> Mapping[str, float]:
        """Figures of the live model on a task's held-out rows.

        Raises:
            UsageError: they were asked for before.
        """
        kept, _ = memory.once(f"scores/{stage}/{task.name}", lambda: self._scored(task, steer))
        figures: dict[str, float] = facts_of(kept)["figures"]
        self._figures.setdefault(stage, {})[task.name] = figures
        if self._running.world.rank == 0:
            self._job.emit("score_end", stage=stage, task=task.name, figures=figures)
        return figures

    def _scored(self, task: Task, steer: Steer | None) -> Any:
        loss = {} if steer else self._running.evaluate(replace(self._job, eval_rows=task.eval_rows))
        found = self._asked(task.name, steer)
        return stored(figures={**loss, **found.figures}, predictions=list(found.predictions))

    def _asked(self, name: str, steer: Steer | None) -> Scored:
        """What the task's metrics say of the model's answers."""
        part = self._parts.get(name)
        if part is None or not (part.metrics or steer):
            return Scored({}, ())
        model = LoadedModel(self._job.model.bundle, part.encoder, self._job.model)
        whole = self._running.full_parameters(self._job.model.bundle.module)
        with nullcontext() if steer else whole:
            return score_live(
                model,
                part.dataset.load(Split.EVAL),
                part.metrics,
                running=self._running,
                steer=steer,
                max_new_tokens=part.max_new_tokens,
            )

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """What `run.json` holds of them; empty before the first.

        Args:
            names: the tasks, in the order they were trained in.
        """
        if not self._figures:
            return {}
        judged = {name: self._judged_by(name) for name in names}
        return {
            "stages": list(self._figures),
            "tasks": list(names),
            "figures": json.loads(json.dumps(self._figures)),
            "judged_by": {name: figure for name, (figure, _) in judged.items()},
            "better": {name: better for name, (_, better) in judged.items()},
        }

    def _judged_by(self, name: str) -> tuple[str, Literal["lower", "higher"]]:
        """The figure that tells the better of two models at a task, and which of two values is."""
        part = self._parts.get(name)
        if part is None or not part.metrics:
            return LOSS, "lower"
        return own_figure(part.metrics)

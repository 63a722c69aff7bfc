"""Do a run's tasks fit its other parts, and each other? Answered without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import CompositionError
from lorafw.types import LabeledExample

if TYPE_CHECKING:
    from lorafw.assembly.compose import DataParts
    from lorafw.assembly.task_parts import TaskParts


def tasks_fit(parts: DataParts) -> None:
    """Every task's encoder reads its rows, for what the run trains; all know the same classes."""
    for task in parts.tasks:
        _encoder_is_for_the_run(task, parts)
        _encoder_accepts_the_rows(task)
    _classes_are_the_same(parts)


def _encoder_is_for_the_run(task: TaskParts, parts: DataParts) -> None:
    if task.encoder.task is not parts.objective.task:
        raise CompositionError(
            f"encoder '{task.names['encoder']}' of task '{task.name}' is for {task.encoder.task}, "
            f"objective '{parts.names['objective']}' is for {parts.objective.task}.",
            where=f"{task.key}.encoder",
        )


def _encoder_accepts_the_rows(task: TaskParts) -> None:
    produced = task.dataset.produces
    if not issubclass(produced, task.encoder.accepts):
        accepted = ", ".join(kind.__name__ for kind in task.encoder.accepts)
        raise CompositionError(
            f"dataset '{task.names['dataset']}' of task '{task.name}' produces "
            f"{produced.__name__}, encoder '{task.names['encoder']}' accepts {accepted}.",
            where=task.key,
            mend="Give the task another: encoder: NAME",
        )


def _classes_are_the_same(parts: DataParts) -> None:
    labeled = [task for task in parts.tasks if issubclass(task.dataset.produces, LabeledExample)]
    for task in labeled[1:]:
        if task.dataset.labels != labeled[0].dataset.labels:
            raise CompositionError(
                f"task '{task.name}' has the classes {task.dataset.labels}, task "
                f"'{labeled[0].name}' {labeled[0].dataset.labels}: one head cannot be for both.",
                where=task.key,
                mend="Give the datasets of all tasks the same option `classes`.",
            )

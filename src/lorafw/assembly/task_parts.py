"""Builds the parts of each task of a run, with errors that name the task's place in the config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from lorafw.assembly.choice import Choice
from lorafw.assembly.origins import Origins
from lorafw.assembly.registry import Registry
from lorafw.assembly.task_choices import TaskChoice
from lorafw.contracts.component import Component
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.metric import Metric
from lorafw.errors import ConfigError, LorafwError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParts:
    """What one task of a run reads, and what it is judged by.

    Attributes:
        name: of its own in the run; a folder can have it.
        key: its place in the config, `tasks.0`.
        epochs: passes over its rows.
        metrics: by the name the config calls each; the first is the task's own.
        names: what the config calls dataset and encoder.
        max_new_tokens: longest answer that is judged.
    """

    name: str
    key: str
    dataset: DatasetAdapter
    encoder: Encoder
    epochs: int
    metrics: Mapping[str, Metric]
    names: Mapping[str, str]
    max_new_tokens: int


class TaskBuilder:
    """Builds what the tasks name: datasets first, for they tell what the run is for.

    Args:
        tasks: as the config chooses them.
        registry: the installed parts.
        origins: where each value was written.

    Attributes:
        datasets: one for each task.
        chosen: every part that a task names itself.

    Raises:
        LorafwError: a part is unknown or broken, or an option is wrong.
    """

    def __init__(self, tasks: Sequence[TaskChoice], registry: Registry, origins: Origins) -> None:
        self._tasks, self._registry, self._origins = tasks, registry, origins
        self.chosen: list[Choice] = []
        built = (self._build(task.dataset) for task in tasks)
        self.datasets = cast("tuple[DatasetAdapter, ...]", tuple(built))

    def preflight_datasets(self) -> None:
        """Let every dataset look at what it needs."""
        for task, dataset in zip(self._tasks, self.datasets, strict=True):
            with self.blame(task):
                dataset.preflight()

    @contextmanager
    def blame(self, task: TaskChoice) -> Iterator[None]:
        """Make errors of reading rows say where the task's dataset was written."""
        with self._origins.blame(task.dataset_key), _renamed("dataset", task.dataset_key):
            yield

    def parts(self, of_run: Choice, encoder: Encoder) -> tuple[TaskParts, ...]:
        """The parts of every task; encoders and metrics have had their preflight.

        Args:
            of_run: the run's choice of an encoder, with a name.
            encoder: that choice, built.
        """
        pairs = zip(self._tasks, self.datasets, strict=True)
        return tuple(self._parts(task, dataset, of_run, encoder) for task, dataset in pairs)

    def _parts(
        self, task: TaskChoice, dataset: DatasetAdapter, of_run: Choice, encoder: Encoder
    ) -> TaskParts:
        choice = _over(of_run, task.encoder)
        own = encoder if choice is of_run else cast("Encoder", self._ready(choice, "encoder"))
        return TaskParts(
            name=task.name,
            key=task.key,
            dataset=dataset,
            encoder=own,
            epochs=task.epochs,
            metrics=self._metrics(task),
            names={"dataset": task.dataset.name, "encoder": choice.name},
            max_new_tokens=task.max_new_tokens,
        )

    def _metrics(self, task: TaskChoice) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for choice in task.metrics:
            if choice.name in found:
                where = self._origins.locate(choice.key)
                raise ConfigError(f"metric '{choice.name}' is listed twice.", where=where)
            found[choice.name] = cast("Metric", self._ready(choice, "metric"))
        return found

    def _ready(self, choice: Choice, section: str) -> Component:
        part = self._build(choice)
        with self._origins.blame(choice.key), _renamed(section, choice.key):
            part.preflight()
        return part

    def _build(self, choice: Choice) -> Component:
        with self._origins.blame(choice.key):
            part = self._registry.load(choice.kind, choice.name)
            component = part.from_mapping(choice.options, where=choice.key)
        self.chosen.append(choice)
        return component


def _over(of_run: Choice, own: Choice | None) -> Choice:
    """The run's encoder, the task's, or the run's with the task's options laid over."""
    if own is None:
        return of_run
    if own.name:
        return own
    options: dict[str, Any] = {**of_run.options, **own.options}
    return replace(own, name=of_run.name, options=options)


@contextmanager
def _renamed(section: str, key: str) -> Iterator[None]:
    """Let an error that speaks of a section of the run speak of the task's instead."""
    try:
        yield
    except LorafwError as error:
        if error.where.partition(".")[0] == section:
            inside = error.where.removeprefix(section)
            error.where = f"{key}{inside}" if key.endswith(section) else key
        raise

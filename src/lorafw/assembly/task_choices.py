"""The tasks of a config: what each reads, how, and for how long; nothing is built yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.assembly.choice import Choice
from lorafw.assembly.origins import Origins
from lorafw.assembly.task_items import TASKS
from lorafw.errors import ConfigError

MAX_NEW_TOKENS = 256
"""Of an answer, where a task does not say it."""
MIX = "lorafw/mix"
"""The dataset that stands for those of all tasks."""


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """One task, its parts chosen.

    Attributes:
        name: of its own in the run.
        key: its place in the config, `tasks.0`.
        dataset: its own, or the run's with the task's name behind the path.
        encoder: None to take the run's; without a name, the run's with other options.
        epochs: passes over its rows.
        metrics: what it is judged by; the first is its own.
        max_new_tokens: longest answer that is judged.
    """

    name: str
    key: str
    dataset: Choice
    encoder: Choice | None
    epochs: int
    metrics: tuple[Choice, ...]
    max_new_tokens: int

    @property
    def dataset_key(self) -> str:
        """What to blame for rows that cannot be read."""
        return self.dataset.key if self.dataset.key.startswith(self.key) else self.key


def read_tasks(
    sections: Mapping[str, Any], epochs: Sequence[int], origins: Origins
) -> tuple[TaskChoice, ...]:
    """The tasks in their order.

    Args:
        sections: of the config, in their one form.
        epochs: of each task that does not say them itself.
        origins: where each value was written.

    Raises:
        ConfigError: a task says not which dataset to use, and the run's cannot be used for it.
    """
    items = enumerate(sections.get(TASKS, ()))
    return tuple(_read(f"{TASKS}.{i}", item, sections, epochs[i], origins) for i, item in items)


def needs_run_dataset(item: Mapping[str, Any]) -> bool:
    """Whether a task reads the run's dataset."""
    return "use" not in item.get("dataset", {})


def mixed(tasks: Sequence[TaskChoice]) -> Choice:
    """The dataset of all tasks' rows, for whoever looks at rows and not at tasks."""
    parts = [{"use": task.dataset.name, **task.dataset.options} for task in tasks]
    return Choice("dataset", MIX, {"parts": parts}, TASKS)


def _read(
    key: str, item: Mapping[str, Any], sections: Mapping[str, Any], epochs: int, origins: Origins
) -> TaskChoice:
    encoder = item.get("encoder")
    metrics = enumerate(item.get("metrics", ()))
    return TaskChoice(
        name=item["name"],
        key=key,
        dataset=_dataset(key, item, sections.get("dataset"), origins),
        encoder=encoder and Choice.read("encoder", f"{key}.encoder", encoder, origins),
        epochs=item.get("epochs", epochs),
        metrics=tuple(Choice.read("metric", f"{key}.metrics.{i}", m, origins) for i, m in metrics),
        max_new_tokens=item.get("max_new_tokens", MAX_NEW_TOKENS),
    )


def _dataset(
    key: str, item: Mapping[str, Any], of_run: Mapping[str, Any] | None, origins: Origins
) -> Choice:
    """A task's own, or the run's; what the task says of it is laid over."""
    own = item.get("dataset", {})
    place = f"{key}.dataset" if own else "dataset"
    if not needs_run_dataset(item):
        return Choice.read("dataset", place, own, origins)
    if of_run is None:
        fault = "says not which dataset to use, and the run has none either."
        mend = "Add: dataset: {use: NAME, …} (see `lorafw plugins list`)"
        raise ConfigError(fault, where=origins.locate(key), mend=mend)
    options = {**of_run, **own}
    if "path" not in own:
        options["path"] = _below(of_run.get("path"), item["name"], origins.locate(key))
    return Choice.read("dataset", place, options, origins)


def _below(path: Any, name: str, where: str) -> str:
    if isinstance(path, str | Path):
        return str(Path(path) / name)
    raise ConfigError(
        f"'{name}' has no dataset of its own, and the run's has no single path to add its name to.",
        where=where,
        mend="Give it one: dataset: {use: NAME, …}, or set dataset.path to the tasks' folder.",
    )


def unused(sections: Mapping[str, Any], origins: Origins) -> Iterator[str]:
    """Sentences on what was said of the run and holds for none of its tasks."""
    items = sections.get(TASKS, ())
    if not items:
        return
    if "use" in sections.get("dataset", {}) and not any(map(needs_run_dataset, items)):
        yield "dataset: not used, every task has its own."
    if origins.overridden("plan.epochs") and all("epochs" in item for item in items):
        yield "plan.epochs: not used, every task has its own."

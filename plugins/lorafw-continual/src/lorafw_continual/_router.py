"""Chooses an adapter for a row by what its prompt looks like to the base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from lorafw_continual._rows import sample

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session, Steer, Task, Tensors
    from lorafw.types import Example


class Router:
    """Knows every task's mean prompt.

    Args:
        session: embeds prompts, and has its live adapter changed.
        adapters: by task; those it may choose from.
        rows: how many of a task make its mean.
    """

    def __init__(self, session: Session, adapters: Mapping[str, Tensors], rows: int) -> None:
        self._session, self._adapters, self._rows = session, adapters, rows
        self._keys: dict[str, Tensor] = {}

    def learn(self, task: Task) -> None:
        """Get to know a task."""
        session = self._session

        def mean() -> Tensors:
            chosen = sample(task.rows, self._rows, session.seed, task.name)
            return {"key": session.embed(chosen).mean(0)}

        self._keys[task.name] = session.once(f"router/{task.name}", mean)["key"]

    def choose(self, prompts: Tensor) -> list[str]:
        """For each embedding, [rows, width], the task whose key is nearest by the cosine."""
        names, keys = list(self._keys), torch.stack(list(self._keys.values()))
        nearness = F.normalize(prompts, dim=1) @ F.normalize(keys, dim=1).T
        return [names[at] for at in nearness.argmax(1).tolist()]

    def steer(self, task: Task) -> Steer:
        """Takes for each row of a task the adapter of the task that is nearest."""

        @contextmanager
        def steered(example: Example) -> Iterator[Example]:
            prompt = self._session.prompt(task, example)
            (name,) = self.choose(self._session.embed([prompt]))
            self._session.load(self._adapters[name])
            yield example

        return steered

    def accuracies(self, tasks: Sequence[Task]) -> dict[str, float]:
        """The share of each task's held-out rows for which its own adapter is chosen."""
        held_out = [task for task in tasks if len(task.eval_rows)]

        def measured() -> Tensors:
            return {task.name: torch.tensor([self._accuracy(task)]) for task in held_out}

        kept = self._session.once("routing", measured)
        return {name: float(share[0]) for name, share in kept.items()}

    def _accuracy(self, task: Task) -> float:
        chosen = self.choose(self._session.embed(task.eval_rows))
        return sum(name == task.name for name in chosen) / len(chosen)

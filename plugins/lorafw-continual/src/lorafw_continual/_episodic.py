"""Rows stored under keys, and a model adapted for a moment to those that a prompt is like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from lorafw_continual._rows import joined

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session, Steer, Task, Tensors
    from lorafw.types import Encoded, Example
    from lorafw_continual.mbpa import MbPA


class Memory:
    """Everything that was stored.

    Args:
        session: embeds prompts, measures gradients, and has its live adapter changed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys: list[Tensor] = []
        self._parts: list[Sequence[Encoded]] = []

    @property
    def rows(self) -> Sequence[Encoded]:
        """In the order in which they were stored."""
        return joined(*self._parts)

    def store(self, task: Task, rows: Sequence[Encoded]) -> None:
        """Add rows of a task."""
        embed = self._session.embed
        kept = self._session.once(f"memory/{task.name}", lambda: {"keys": embed(rows)})
        self._keys.append(kept["keys"])
        self._parts.append(rows)

    def steer(self, task: Task, options: MbPA) -> Steer:
        """Adapts the live model for each row of a task, and puts it back."""
        session, rows = self._session, self.rows
        start, keys = session.values(), torch.cat(self._keys)

        @contextmanager
        def steered(example: Example) -> Iterator[Example]:
            (prompt,) = session.embed([session.prompt(task, example)])
            near = [rows[at] for at in nearest(keys, prompt, options.neighbours)]
            session.load(descended(start, _gradient(session, near), options))
            yield example
            session.load(start)

        return steered


def nearest(keys: Tensor, query: Tensor, count: int) -> list[int]:
    """Indices of the keys, [n, width], with the least Euclidean distance to a query, [width]."""
    distances = (keys.double() - query.double()).square().sum(1)
    found: list[int] = distances.argsort(stable=True)[:count].tolist()
    return found


def _gradient(session: Session, rows: Sequence[Encoded]) -> Callable[[Tensors], Tensors]:
    def at(values: Tensors) -> Tensors:
        session.load(values)
        return session.gradient(rows)

    return at


def descended(
    start: Mapping[str, Tensor], gradient: Callable[[Tensors], Tensors], options: MbPA
) -> dict[str, Tensor]:
    """Where gradient descent on loss + λ ‖W̃ - W‖² ends, from W.

    Args:
        start: W, by name.
        gradient: of the loss alone, at given values.
        options: steps, learning rate and λ.
    """
    values, rate = dict(start), options.local_learning_rate
    for _ in range(options.local_steps):
        found = gradient(values)
        for name, value in values.items():
            pull = 2 * options.local_lambda * (value - start[name])
            values[name] = value - rate * (found[name] + pull)
    return values

"""Guides that turn a step's gradient away from what would undo earlier tasks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from lorafw.contracts import Guide
from lorafw_continual._projection import onto_cone, onto_half_space
from lorafw_continual._vectors import flat, unflat

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session
    from lorafw.types import Encoded


class AvoidsHarm(Guide):
    """GEM: no step may raise the loss on any earlier task's memory.

    Args:
        session: measures gradients of memories, at every step.
        memories: of each earlier task its stored rows.
        margin: how far updates are turned towards the earlier tasks.
    """

    def __init__(
        self, session: Session, memories: Sequence[Sequence[Encoded]], margin: float
    ) -> None:
        self.wants_gradients = bool(memories)
        self._session, self._memories, self._margin = session, memories, margin

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The projected gradient."""
        del step
        found = [flat(self._session.gradient(rows), gradients) for rows in self._memories]
        gradient = flat(gradients, gradients)
        return unflat(onto_cone(gradient, torch.stack(found), self._margin), gradients)


class AvoidsHarmOnAverage(Guide):
    """A-GEM: no step may raise the loss on some stored rows of all earlier tasks together.

    Args:
        session: measures their gradient, at every step.
        memory: all that is stored.
        count: how many of them are drawn for a step.
        name: with seed and step, what the choice depends on.
    """

    def __init__(self, session: Session, memory: Sequence[Encoded], count: int, name: str) -> None:
        self.wants_gradients = bool(memory)
        self._session, self._memory, self._count, self._name = session, memory, count, name

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The projected gradient."""
        chance = random.Random(f"{self._session.seed} {self._name} {step}")
        chosen = chance.sample(range(len(self._memory)), min(self._count, len(self._memory)))
        reference = self._session.gradient([self._memory[at] for at in sorted(chosen)])
        found = onto_half_space(flat(gradients, gradients), flat(reference, gradients))
        return unflat(found, gradients)

"""One table of virtual tokens shared out among tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from lorafw.errors import CompositionError, TrainingError
from lorafw_continual._prompt_pool import TABLE

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session


@dataclass(frozen=True, slots=True)
class OwnPrompts:
    """The prompts P_T, …, P_1 of T tasks, as they lie in the table; tasks count from 1.

    Attributes:
        session: whose table it is.
        tokens: how many there are in all.
        length: how many a prompt has.
    """

    session: Session
    tokens: int
    length: int

    @classmethod
    def of(cls, session: Session) -> Self:
        """Equal shares for a session's tasks.

        Raises:
            CompositionError: something else is trained, which all tasks would move.
        """
        if session.model.spec.trained:
            fault = f"{session.model.spec.trained[0]} would be trained by every task."
            mend = "Train prompts alone: leave injector.modules_to_save out."
            raise CompositionError(fault, where="injector", mend=mend)
        tokens = len(session.values()[TABLE])
        return cls(session, tokens, tokens // len(session.tasks))

    def up_to(self, number: int) -> Tensor:
        """Those of a task and of all before it, its own first: int64 [number · length]."""
        return torch.arange(self.tokens - number * self.length, self.tokens)

    @contextmanager
    def learning(self, number: int) -> Iterator[None]:
        """While open, a task's prompt is trained behind those of earlier tasks.

        Raises:
            TrainingError: one of another task has moved meanwhile.
        """
        shown = self.up_to(number)
        own, before = shown[: self.length], self._others(number)
        with self.session.model.showing(shown, learning=own):
            yield
        if not torch.equal(self._others(number), before):
            fault = "training moved the prompt of another task."
            mend = "Choose an optimizer that leaves alone what has no gradient."
            raise TrainingError(fault, where="plan.optimizer", mend=mend)

    def _others(self, number: int) -> Tensor:
        """The table without a task's prompt."""
        table = self.session.values()[TABLE]
        start = self.tokens - number * self.length
        return torch.cat([table[:start], table[start + self.length :]])

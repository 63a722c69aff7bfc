"""Scenario `gem`: no step may raise the loss on what is stored of any earlier task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._rows import sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import Session
    from lorafw.types import Encoded


class GEM(TaskSequence):
    """Gradient episodic memory (Lopez-Paz & Ranzato 2017, arXiv:1706.08840).

    At every step: g_k is the gradient of the loss on the rows stored of task k. Where ⟨g, g_k⟩ < 0
    for an earlier task (eq. 8), the nearest g̃ for which that is nowhere so takes the place of g
    (eq. 9), by the dual (eq. 11). As in the paper, `margin` is added to the dual's solution; its
    authors' code takes it as the solution's lower bound. TRACE's code compares with the gradients
    of each earlier task's last step, one parameter at a time. A step costs as many passes over
    stored rows as there are earlier tasks.
    """

    memory_per_task: int = Field(256, ge=1, description="Rows of every task that are stored.")
    margin: float = Field(
        0.5, ge=0, description="γ, the memory strength: turns updates towards earlier tasks."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Gradients of stored rows, and others in the place of the step's."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.SETTABLE_GRADIENTS})

    def run(self, session: Session) -> None:
        """Fit each task beside the memories of those before, then store some of it."""
        from lorafw_continual._projecting import AvoidsHarm

        memories: list[Sequence[Encoded]] = []
        for task in self.each_task(session):
            guide = AvoidsHarm(session, tuple(memories), self.margin)
            session.fit(task.name, task=task, guide=guide)
            stored = sample(task.rows, self.memory_per_task, session.seed, task.name)
            memories.append(stored)
        session.export()

"""Scenario `a-gem`: no step may raise the mean loss on what is stored of earlier tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._rows import joined, sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import Session
    from lorafw.types import Encoded


class AGEM(TaskSequence):
    """Averaged gradient episodic memory (Chaudhry et al. 2019, arXiv:1812.00420).

    At every step: r is the gradient of the loss on rows drawn from what is stored of all earlier
    tasks. Where ⟨g, r⟩ < 0, the step goes along g̃ = g - (gᵀr / rᵀr) r (eq. 11). A step costs one
    more pass, over `reference_rows`, however many tasks there were.
    """

    memory_per_task: int = Field(256, ge=1, description="Rows of every task that are stored.")
    reference_rows: int = Field(
        256, ge=1, description="Stored rows that are drawn for each step's reference gradient."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Gradients of stored rows, and others in the place of the step's."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.SETTABLE_GRADIENTS})

    def run(self, session: Session) -> None:
        """Fit each task beside the memory of those before, then store some of it."""
        from lorafw_continual._projecting import AvoidsHarmOnAverage

        stored: list[Sequence[Encoded]] = []
        for task in self.each_task(session):
            memory = joined(*stored)
            guide = AvoidsHarmOnAverage(session, memory, self.reference_rows, task.name)
            session.fit(task.name, task=task, guide=guide)
            stored.append(sample(task.rows, self.memory_per_task, session.seed, task.name))
        session.export()

"""Scenario `lwf`: on each task's rows the model goes on saying what it said before the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._sequence import TaskSequence
from lorafw_continual._wrapped_objective import require_tokens

if TYPE_CHECKING:
    from lorafw.contracts import Company, Session


class LwF(TaskSequence):
    """Learning without forgetting (Li & Hoiem 2016, arXiv:1606.09282).

    Adds λ_o T² KL(p_old ‖ p_new) to the loss of each position that is trained: eq. 2 and 3, up to
    the entropy of p_old, which has no gradient, and with T² so that its gradient does not shrink
    with the temperature (Hinton et al. 2015, arXiv:1503.02531). p_old is what the model said with
    the values the last task left, computed anew for each batch. TRACE's code keeps the logits of a
    whole task, finds them again by the number of a step, and takes the KL the wrong way round.
    """

    weight: float = Field(1.0, ge=0, description="λ_o, the weight of what was said before.")
    temperature: float = Field(2.0, gt=0, description="T: both distributions are softened by it.")
    chunk_rows: int = Field(
        512, ge=1, description="Positions whose logits, old and new, are held at a time."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Old values take the place of the live ones for a forward pass."""
        return frozenset({Capability.WHOLE_PARAMETERS})

    def check(self, company: Company) -> None:
        """Refuse an objective that is not about next tokens.

        Raises:
            CompositionError: it is of classes.
        """
        super().check(company)
        require_tokens(company.objective, "lwf")

    def run(self, session: Session) -> None:
        """Fit each task beside the model that the one before left."""
        from lorafw_continual._distillation import Distilled

        objective = Distilled.of(session.objective, session.model, self)
        for task in self.each_task(session):
            session.fit(task.name, task=task, objective=objective)
            objective.remember(session.values())
        session.export()

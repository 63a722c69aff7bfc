"""Scenario `o-lora`: every task has ranks of its own, orthogonal to those before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.errors import CompositionError
from lorafw.types import Capability
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from lorafw.contracts import Company, Session


class OLoRA(TaskSequence):
    """Orthogonal low-rank adaptation (Wang et al. 2023, arXiv:2310.14152).

    Task t trains its own r/T rows of every A and columns of every B; those of earlier tasks stay as
    they are, to the bit. With Σ_{i<t} Σ |A_i A_tᵀ|, λ_1 times, in the loss the new rows turn away
    from the old ones: the sum of absolute products, as in the authors' code; the paper prints their
    squares. As the columns of B that nobody trained are 0, the forward pass is that of the paper's
    adapters side by side, each of rank r/T and scaled by the whole adapter's alpha / r. TRACE's
    code adds adapters to q and v of one family of models alone; here to whatever is adapted.
    """

    lambda_1: float = Field(
        0.5, ge=0, description="Weight of the products of new rows of A with earlier ones."
    )
    lambda_2: float = Field(
        0.0, ge=0, description="Weight of the lengths (2-norms) of the new parts of A and B."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """The penalty looks at whole factors; the gradients of earlier parts are set to 0."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.SETTABLE_GRADIENTS})

    def check(self, company: Company) -> None:
        """Refuse what the tasks cannot share, or what would move the ranks of others.

        Raises:
            CompositionError: the injector makes no plain factors, a rank is no multiple of the
                number of tasks, or what is not trained would decay.
        """
        super().check(company)
        if company.plan.weight_decay:
            fault = "o-lora leaves earlier tasks' ranks alone, and weight decay would shrink them."
            raise CompositionError(fault, where="plan.weight_decay", mend="Set it to 0.")
        if not company.injector.ranks:
            fault = "o-lora needs plain LoRA factors whose B is 0 before any training."
            mend = "Choose one, without DoRA and with a start such as kaiming."
            raise CompositionError(fault, where="injector", mend=mend)
        count = len(company.tasks)
        if odd := sorted(rank for rank in company.injector.ranks if rank % count):
            fault = f"{count} tasks cannot share an adapter of rank {odd[0]}."
            mend = f"Choose a rank that is a multiple of {count}."
            raise CompositionError(fault, where="injector", mend=mend)

    def run(self, session: Session) -> None:
        """Fit each task in its own ranks.

        Raises:
            CompositionError: the adapter is none of plain factors.
        """
        from lorafw_continual._rank_blocks import OwnRanks, factors_of, share_of

        factors = factors_of(session.model.spec, session.values())
        share = share_of(factors, len(session.tasks))
        for number, task in enumerate(self.each_task(session)):
            parameters = session.model.trainable()
            own, values = share(number), session.values()
            guide = OwnRanks(parameters, values, own, self.lambda_1, self.lambda_2)
            session.fit(task.name, task=task, guide=guide)
        session.export()

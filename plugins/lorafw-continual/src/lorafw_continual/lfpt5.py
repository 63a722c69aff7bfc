"""Scenario `lfpt5`: the model also learns to generate rows, and is trained again on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._sequence import TaskSequence
from lorafw_continual._wrapped_objective import require_tokens

if TYPE_CHECKING:
    from lorafw.contracts import Company, Session


class LFPT5(TaskSequence):
    """Lifelong few-shot language learning (Qin & Joty 2022, arXiv:2110.07298).

    Minimises L_task + λ_lm L_lm + λ_kl L_kl. L_task: y behind x. L_lm: each row is also a text to
    be generated behind its task's mark, x, a separator, y. Before a new task, pseudo rows of every
    earlier one are drawn behind its mark and trained beside the new rows, in both forms; L_kl is
    KL(p_old ‖ p_new) at the tokens of their y, p_old the model as the last task left it. Defaults
    are those of its authors' scripts for text classification, which train 300 virtual tokens
    (`prompt_tuning`). TRACE's code has no L_kl, and trains the last task's pseudo rows alone.
    """

    lambda_lm: float = Field(0.25, ge=0, description="λ_lm, the weight of rows as texts.")
    lambda_kl: float = Field(
        0.01, ge=0, description="λ_kl, the weight of what was said of pseudo rows."
    )
    pseudo_ratio: float = Field(
        0.125, gt=0, le=1, description="Rows drawn of every earlier task, for each row it has."
    )
    pseudo_rows: int | None = Field(
        None, ge=1, description="Rows drawn of every earlier task; null for `pseudo_ratio`."
    )
    separator: str = Field(
        " __ans__ ",
        min_length=1,
        description="Text between x and y where a row is generated; best one that is in neither.",
    )
    top_k: int = Field(
        64, ge=0, description="Draws from this many of the likeliest tokens; 0 from all."
    )
    temperature: float = Field(1.0, gt=0, description="Of the draws.")
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
        require_tokens(company.objective, "lfpt5")

    def run(self, session: Session) -> None:
        """Fit each task, in both forms, beside what is drawn of the earlier ones."""
        from lorafw_continual._generator_loss import Generating
        from lorafw_continual._pseudo_rows import PseudoRows

        source = PseudoRows(session, self)
        objective = Generating.of(session.objective, session.model, source.marks, self)
        for task in self.each_task(session):
            pseudo = source.drawn(task.name)
            if pseudo:
                objective.hold(session.values(), [row for rows in pseudo.values() for row in rows])
            rows = source.both_forms({**pseudo, task.name: task.rows})
            session.fit(task.name, task=replace(task, rows=rows), objective=objective)
            source.learned(task)
        session.export()

"""Scenario `ewc`: parameters that matter to earlier tasks are held where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._packed import packed, unpacked
from lorafw_continual._rows import sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from lorafw.contracts import Session, Task, Tensors
    from lorafw_continual._quadratic import Quadratic


class EWC(TaskSequence):
    """Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv:1612.00796).

    Adds λ/2 Σ_i F_i (θ_i - θ*_i)² to the loss (eq. 3), one such term for every earlier task: θ* are
    the values it left, F its diagonal Fisher information there. `online` keeps one term for all
    (Schwarz et al. 2018, arXiv:1805.06370): F becomes γF + F_t and θ* the newest values. A
    row's likelihood is that of all its trained tokens. TRACE's code sums the squares of gradients
    of whole batches, penalty included, as training goes along, each rank its own: not the Fisher
    information.
    """

    ewc_lambda: float = Field(
        400.0, ge=0, description="λ, how much earlier tasks weigh against the present one."
    )
    fisher_rows: int = Field(
        256, ge=1, description="Rows of a task from which its Fisher information is estimated."
    )
    online: bool = Field(False, description="Keep one penalty for all earlier tasks: online EWC.")
    gamma: float = Field(
        0.95, ge=0, le=1, description="Online EWC: what is left of F after each further task."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """The penalty looks at every parameter, on every rank."""
        return frozenset({Capability.WHOLE_PARAMETERS})

    def run(self, session: Session) -> None:
        """Fit each task under the penalty of those before, then add its own."""
        from lorafw_continual._anchored import Anchored

        penalty: Quadratic | None = None
        for task in self.each_task(session):
            anchored = Anchored(session.model.trainable(), penalty, self.ewc_lambda / 2)
            session.fit(task.name, task=task, guide=anchored)
            penalty = self._consolidated(penalty, self._own(session, task))
        session.export()

    def _own(self, session: Session, task: Task) -> Quadratic:
        """F and θ* of the task that was trained last."""
        from lorafw_continual._quadratic import Quadratic

        def measured() -> Tensors:
            rows = sample(task.rows, self.fisher_rows, session.seed, task.name)
            return packed(F=session.gradient(rows, squared=True), theta=session.values())

        kept = session.once(f"ewc/{task.name}", measured)
        return Quadratic(unpacked(kept, "F"), unpacked(kept, "theta"))

    def _consolidated(self, before: Quadratic | None, own: Quadratic) -> Quadratic:
        if before is None:
            return own
        return before.moved(self.gamma, own) if self.online else before.plus(own)

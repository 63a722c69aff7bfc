"""Scenario `ogd`: steps orthogonal to directions that earlier tasks' outputs depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._rows import sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session, Task


class OGD(TaskSequence):
    """Orthogonal gradient descent (Farajtabar et al. 2020, arXiv:1910.07104).

    After each task the gradients of the model's output for some of its rows are added to an
    orthonormal basis; from then on a step goes along g - Σ_v ⟨g, v⟩ v over the basis (algorithm 1).
    What a language model puts out for a row is taken to be the log-likelihood of what is trained in
    it, as in the paper's variant OGD-GTL, which looks at the true class alone. TRACE's code keeps
    one and the same vector many times over, and no limit.
    """

    memories: int = Field(
        150, ge=1, description="Most vectors in the basis; each task's share of them is the same."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Gradients of stored rows, and others in the place of the step's."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.SETTABLE_GRADIENTS})

    def run(self, session: Session) -> None:
        """Fit each task outside the basis, to which the one before was added."""
        from lorafw_continual._outside import Outside, empty_basis

        share = max(1, self.memories // max(1, len(session.tasks) - 1))
        basis = empty_basis(session.model.trainable())
        last: Task | None = None
        for task in self.each_task(session):
            if last is not None:
                basis = self._grown(session, last, basis, share)
            session.fit(task.name, task=task, guide=Outside(basis))
            last = task
        session.export()

    def _grown(self, session: Session, task: Task, basis: Tensor, share: int) -> Tensor:
        """The basis with the directions of the task that was trained last, if there is room."""
        import torch

        from lorafw_continual._outside import directions

        count = min(share, self.memories - len(basis))
        if not count:
            return basis

        def added() -> dict[str, Tensor]:
            rows = sample(task.rows, count, session.seed, task.name)
            return {"basis": directions(session, rows, basis)}

        return torch.cat([basis, session.once(f"ogd/{task.name}", added)["basis"]])

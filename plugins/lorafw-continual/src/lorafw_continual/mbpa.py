"""Scenario `mbpa++`: a memory that is replayed sparsely, and looked up before every answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._rows import joined, sample
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import Session, Task
    from lorafw_continual._episodic import Memory


class MbPA(TaskSequence):
    """Memory-based parameter adaptation, MbPA++ (d'Autume et al. 2019, arXiv:1906.01076).

    Rows are stored under what the base model makes of their prompts. Every task is trained together
    with some stored rows, 1 for every 100 new ones. Before a held-out row is answered, the model is
    adapted to the K stored rows with the nearest keys: L gradient steps from the live values W on
    λ ‖W̃ - W‖² - Σ_k 1/K log p(y_k | x_k; W̃), here per trained token; then W is put back. TRACE's
    keys are what comes out at the first position, which is padding.
    """

    replay_rate: float = Field(
        0.01, ge=0, le=1, description="Stored rows that are replayed for each new row."
    )
    memory: int | None = Field(
        None, ge=1, description="Rows of every task that are stored; null for all."
    )
    neighbours: int = Field(32, ge=1, description="K, the stored rows a held-out row looks up.")
    local_steps: int = Field(
        30, ge=0, description="L, the gradient steps of local adaptation; 0 for none."
    )
    local_lambda: float = Field(
        0.001, ge=0, description="λ, how much local adaptation is held to where it began."
    )
    local_learning_rate: float = Field(
        0.005, gt=0, description="Learning rate of local adaptation, by plain gradient descent."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Gradients of stored rows, and the base's eyes for prompts."""
        return frozenset({Capability.WHOLE_PARAMETERS, Capability.DISABLE})

    def run(self, session: Session) -> None:
        """Fit each task with a few stored rows, then store its own."""
        from lorafw_continual._episodic import Memory

        memory = Memory(session)

        def score(stage: str, task: Task) -> Mapping[str, float]:
            return self._score(session, memory, stage, task)

        for task in self.each_task(session, score):
            again = sample(memory.rows, self._replayed(task), session.seed, "replay", task.name)
            mixed = joined(task.rows, again)
            session.fit(task.name, task=replace(task, rows=mixed))
            kept = len(task.rows) if self.memory is None else self.memory
            memory.store(task, sample(task.rows, kept, session.seed, task.name))
        session.export()

    def _replayed(self, task: Task) -> int:
        """How many stored rows are trained with a task: at least one, unless none shall be."""
        return max(1, round(self.replay_rate * len(task.rows))) if self.replay_rate else 0

    def _score(
        self, session: Session, memory: Memory, stage: str, task: Task
    ) -> Mapping[str, float]:
        if not (memory.rows and self.local_steps):
            return session.score(stage, task)
        return session.score(stage, task, steer=memory.steer(task, self))

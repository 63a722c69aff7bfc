"""Scenario `adapter-per-task`: an adapter for every task, and one of them chosen for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lorafw.types import Capability
from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import Session, Task, Tensors
    from lorafw_continual._router import Router


class AdapterPerTask(TaskSequence):
    """Trains every task from the start into an adapter of its own, so that none is forgotten.

    What is stored grows by an adapter with every task; it is saved under `adapters/`. Which one
    answers a held-out row is known by the task's `name`, or found by `similarity`: that of the task
    whose prompts, in the base model's eyes, are on average nearest to the row's prompt by the
    cosine. How often that is the row's own goes into the run's record.
    """

    router: Literal["name", "similarity"] = Field(
        "name",
        description="How the adapter for a held-out row is chosen: by its task's name, or by the "
        "similarity of its prompt to each task's.",
    )
    router_rows: int = Field(
        256, ge=1, description="Rows of a task whose prompts tell the router what it looks like."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """The base's eyes for prompts, where similarity chooses."""
        return frozenset({Capability.DISABLE} if self.router == "similarity" else ())

    def run(self, session: Session) -> None:
        """Fit each task from the start, and keep what it leaves."""
        from lorafw_continual._router import Router

        adapters: dict[str, Tensors] = {}
        router = Router(session, adapters, self.router_rows)
        chosen = router if self.router == "similarity" else None

        def score(stage: str, task: Task) -> Mapping[str, float]:
            return self._score(session, adapters, chosen, stage, task)

        for task in self.each_task(session, score):
            session.reset()
            session.fit(task.name, task=task)
            session.save_adapter(f"adapters/{task.name}")
            adapters[task.name] = session.once(f"adapters/{task.name}", session.values)
            if chosen is not None:
                chosen.learn(task)
        if chosen is not None:
            session.note(routing=chosen.accuracies(session.tasks))
        session.load(adapters[task.name])
        session.export()

    def _score(
        self,
        session: Session,
        adapters: Mapping[str, Tensors],
        router: Router | None,
        stage: str,
        task: Task,
    ) -> Mapping[str, float]:
        """Score a task with its own adapter, or with the one the router takes for each row."""
        if router is not None and adapters:
            return session.score(stage, task, steer=router.steer(task))
        if task.name in adapters:
            session.load(adapters[task.name])
        else:
            session.reset()
        return session.score(stage, task)

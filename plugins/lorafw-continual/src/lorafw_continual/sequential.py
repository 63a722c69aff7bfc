"""Scenario `sequential`: one task after another, nothing against forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lorafw.contracts import Scenario

if TYPE_CHECKING:
    from lorafw.contracts import Session


class Sequential(Scenario):
    """Trains one adapter on every task in turn: what the other scenarios are compared with."""

    takes_tasks: ClassVar[bool] = True

    def run(self, session: Session) -> None:
        """Fit each task, and score all of them after each."""
        for task in session.tasks:
            session.fit(task.name, task=task)
            for each in session.tasks:
                session.score(task.name, each)
        session.export()

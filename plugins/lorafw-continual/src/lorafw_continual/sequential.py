"""Scenario `sequential`: one task after another, nothing against forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw_continual._sequence import TaskSequence

if TYPE_CHECKING:
    from lorafw.contracts import Session


class Sequential(TaskSequence):
    """Trains one adapter on every task in turn: what the other scenarios are compared with."""

    def run(self, session: Session) -> None:
        """Fit each task in turn."""
        for task in self.each_task(session):
            session.fit(task.name, task=task)
        session.export()

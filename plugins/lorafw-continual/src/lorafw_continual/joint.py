"""Scenario `joint`: all tasks at once, the upper bound of what sequences are measured by."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from lorafw.contracts import Task
from lorafw_continual._rows import joined
from lorafw_continual._sequence import BEFORE, ScoredTasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import Session

STAGE = "joint"


class Joint(ScoredTasks):
    """Trains one adapter on the rows of all tasks together (multi-task learning).

    Every task keeps its own number of epochs: where these differ, rows of a task that has more of
    them come several times in each pass.
    """

    def run(self, session: Session) -> None:
        """Fit once, on everything."""
        tasks = session.tasks
        self.score_tasks(session.score, BEFORE, tasks, 0)
        session.fit(STAGE, task=together(tasks))
        self.score_tasks(session.score, STAGE, tasks, len(tasks))
        session.export()


def together(tasks: Sequence[Task]) -> Task:
    """One task of the rows of all, each as often as its own epochs ask for."""
    epochs = gcd(*(task.epochs for task in tasks))
    rows = joined(*(rows for task in tasks for rows in [task.rows] * (task.epochs // epochs)))
    return Task(STAGE, rows, joined(*(task.eval_rows for task in tasks)), epochs)

"""Scenario `replay`: rows of earlier tasks are trained again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.errors import ConfigError
from lorafw_continual._general_data import WithGeneralData
from lorafw_continual._rows import joined, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import Company, Session, Task
    from lorafw.types import Encoded


class Replay(WithGeneralData):
    """Trains every task together with some rows of each earlier one (experience replay).

    TRACE (arXiv:2310.06762) replays after each task instead, in a pass of its own: `after: true`,
    with `general` its instructions (Lima). Its code takes the first rows of each earlier task; here
    they are drawn by the run's seed.
    """

    ratio: float = Field(
        0.1, gt=0, le=1, description="Share of every earlier task's rows that is replayed."
    )
    memory: int | None = Field(
        None,
        ge=1,
        description="Rows of every earlier task that are replayed, a reservoir; null for `ratio`.",
    )
    after: bool = Field(
        False,
        description="Replay in one more pass after each task, over the stored rows alone, and not "
        "among the task's own.",
    )

    def check(self, company: Company) -> None:
        """Refuse a task by the name of another one's replay.

        Raises:
            ConfigError: there is one.
        """
        super().check(company)
        taken = {_again(task) for task in company.tasks} & set(company.tasks)
        if self.after and taken:
            fault = f"no task can be called '{min(taken)}': a pass of replay goes by that name."
            raise ConfigError(fault, where="tasks", mend="Call it something else.")

    def run(self, session: Session) -> None:
        """Fit each task with what is stored, then store some of it."""
        stored = self.general_data(session)
        for task in self.each_task(session):
            self._learn(session, task, stored)
            count = self.memory or max(1, round(self.ratio * len(task.rows)))
            stored.append(sample(task.rows, count, session.seed, task.name))
        session.export()

    def _learn(self, session: Session, task: Task, stored: Sequence[Sequence[Encoded]]) -> None:
        if not self.after:
            mixed = joined(task.rows, *stored) if stored else task.rows
            session.fit(task.name, task=replace(task, rows=mixed))
            return
        session.fit(task.name, task=task)
        if stored:
            again = replace(task, rows=joined(*stored), epochs=1)
            session.fit(_again(task.name), task=again)


def _again(task: str) -> str:
    """The stage in which a task's stored rows are replayed."""
    return f"{task}.replay"

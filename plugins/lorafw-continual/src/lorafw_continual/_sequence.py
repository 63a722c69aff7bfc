"""What scenarios of several tasks share: the order of tasks, and when which of them is scored."""

from __future__ import annotations

import random
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import Field

from lorafw.contracts import Scenario
from lorafw.errors import ConfigError

if TYPE_CHECKING:
    from lorafw.contracts import Company, Session, Task

Score: TypeAlias = "Callable[[str, Task], Mapping[str, float]]"
"""Scores a task after a stage, as `Session.score` does."""

BEFORE = "before"
"""The stage of the scores that are taken before any training."""


class ScoredTasks(Scenario, ABC):
    """A scenario for a list of tasks that are scored along the way."""

    takes_tasks: ClassVar[bool] = True

    score: Literal["all", "seen", "none"] = Field(
        "all",
        description="Which tasks are scored after each one: all, and all before the first too; "
        "seen, those trained so far; or none.",
    )

    def check(self, company: Company) -> None:
        """Refuse a task by the name of the stage before all.

        Raises:
            ConfigError: there is one.
        """
        if BEFORE in company.tasks:
            fault = f"no task can be called '{BEFORE}': scores before any training go by that name."
            raise ConfigError(fault, where="tasks", mend="Call it something else.")

    def score_tasks(self, score: Score, stage: str, tasks: Sequence[Task], seen: int) -> None:
        """Score those of the tasks that the option says, and that have held-out rows.

        Args:
            score: takes the scores.
            stage: after which they are taken.
            tasks: in the order of training.
            seen: how many of them have been trained.
        """
        chosen = {"all": len(tasks), "seen": seen, "none": 0}[self.score]
        for task in tasks[:chosen]:
            if len(task.eval_rows):
                score(stage, task)


class TaskSequence(ScoredTasks, ABC):
    """A scenario that trains one task after another."""

    order_seed: int | None = Field(
        None,
        ge=0,
        description="Draws the order of the tasks; null trains them in the order of the list.",
    )

    @property
    def apart(self) -> frozenset[str]:
        """Names of tasks that have no stage of their own, and are scored beside those that have."""
        return frozenset()

    def in_order(self, session: Session) -> list[Task]:
        """The tasks in the order in which they are trained."""
        tasks = [task for task in session.tasks if task.name not in self.apart]
        if self.order_seed is None:
            return tasks
        return random.Random(self.order_seed).sample(tasks, len(tasks))

    def each_task(self, session: Session, score: Score | None = None) -> Iterator[Task]:
        """The tasks in order; scores are taken before the first, and after each when it is done.

        Args:
            session: whose tasks.
            score: takes them; unless given, of the live model as it is.
        """
        tasks, score = self.in_order(session), score or session.score
        apart = [task for task in session.tasks if task.name in self.apart]
        self.score_tasks(score, BEFORE, [*tasks, *apart], 0)
        for seen, task in enumerate(tasks, start=1):
            yield task
            self.score_tasks(score, task.name, tasks, seen)
            self.score_tasks(score, task.name, apart, len(apart))

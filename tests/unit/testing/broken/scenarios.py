"""Scenarios with one fault each."""

from __future__ import annotations

import itertools
from typing import ClassVar

from lorafw.contracts import Guide, Scenario, Session

_runs = itertools.count()


class Hasty(Scenario):
    """Exports before it has trained."""

    breaks: ClassVar[tuple[str, ...]] = ("it fits before it exports",)

    def run(self, session: Session) -> None:
        session.export()
        session.fit("train")


class Repeating(Scenario):
    """Gives two stages one name."""

    breaks: ClassVar[tuple[str, ...]] = ("every stage has a name of its own",)

    def run(self, session: Session) -> None:
        session.fit("train")
        session.fit("train")
        session.export()


class Fickle(Scenario):
    """Names its stage after the day."""

    breaks: ClassVar[tuple[str, ...]] = (
        "run again it makes the same calls",
        "a run whose stages are finished makes the same calls",
    )

    def run(self, session: Session) -> None:
        session.fit(f"train-{next(_runs)}")
        session.export()


class Twice(Scenario):
    """Keeps two things under one name."""

    breaks: ClassVar[tuple[str, ...]] = ("whatever is remembered has a name of its own",)

    def run(self, session: Session) -> None:
        session.once("values", session.values)
        session.fit("train")
        session.once("values", session.values)
        session.export()


class Redrawing(Scenario):
    """Draws twice under one name."""

    breaks: ClassVar[tuple[str, ...]] = ("whatever is remembered has a name of its own",)

    def run(self, session: Session) -> None:
        session.fit("train")
        for row in session.tasks[0].rows[:2]:
            session.draw("more", [row], new_tokens=2, ends=())
        session.export()


class Narrow(Scenario):
    """Takes tasks, and looks at the first of them only."""

    takes_tasks: ClassVar[bool] = True
    breaks: ClassVar[tuple[str, ...]] = ("it sees every task",)

    def run(self, session: Session) -> None:
        session.fit("train", task=session.tasks[0])
        session.score("train", session.tasks[0])
        session.export()


class Counting(Guide):
    """Counts the steps it guides."""

    def __init__(self) -> None:
        self.steps = 0

    def penalty(self) -> None:
        self.steps += 1


class Presuming(Scenario):
    """Takes for granted that its guide was asked in this process."""

    breaks: ClassVar[tuple[str, ...]] = ("a run whose stages are finished makes the same calls",)

    def run(self, session: Session) -> None:
        guide = Counting()
        session.fit("train", guide=guide)
        if guide.steps:
            session.export()

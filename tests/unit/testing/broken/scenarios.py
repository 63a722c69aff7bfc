"""Scenarios with one fault each."""

from __future__ import annotations

import itertools
from typing import ClassVar

from lorafw.contracts import Scenario, Session

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


class Presuming(Scenario):
    """Takes for granted that every fit has a result."""

    breaks: ClassVar[tuple[str, ...]] = ("a run whose stages are finished makes the same calls",)

    def run(self, session: Session) -> None:
        result = session.fit("train")
        if result.steps:  # type: ignore[union-attr]
            session.export()

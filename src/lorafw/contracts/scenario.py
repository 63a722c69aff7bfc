"""Scenario: the order in which things are trained, a short program against Session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from lorafw.contracts.component import Component
from lorafw.contracts.trainer import FitResult


class Session(Protocol):
    """What a scenario may do. Finished stages are remembered, so a resumed run skips them."""

    def fit(self, stage: str) -> FitResult | None:
        """Train on the training rows; None if the stage was finished by an earlier process."""

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures of the model as it is."""

    def export(self) -> None:
        """Run every exporter of the config."""


class Scenario(Component, ABC):
    """The plot of a run."""

    @abstractmethod
    def run(self, session: Session) -> None:
        """Drive the session from start to end."""

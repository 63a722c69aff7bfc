"""The base of metrics that score each answer by itself; a figure is the mean over the rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.contracts.metric import Metric, Outcome, Written

ROWS = "rows"
"""Name of the sum that counts the rows."""


class MeanOfAnswers(Metric):
    """Scores of single answers, their mean over the rows."""

    reads: ClassVar[type[Outcome]] = Written
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]]

    @abstractmethod
    def score(self, written: Written) -> Mapping[str, float]:
        """The scores of one answer, by figure."""

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """The scores, and one row."""
        assert isinstance(outcome, Written)
        return {**self.score(outcome), ROWS: 1.0}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """The mean of every score."""
        return {name: value / totals[ROWS] for name, value in totals.items() if name != ROWS}

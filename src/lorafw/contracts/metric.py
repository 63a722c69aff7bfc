"""Metric: figures of what a model did with held-out rows, from sums that add up over rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lorafw.contracts.component import Component


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model did with one row."""


@dataclass(frozen=True, slots=True)
class Predicted(Outcome):
    """How likely the model finds what the row teaches.

    Attributes:
        loss: sum of -log p over the row's trained tokens, in nats.
        tokens: how many these are.
    """

    loss: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Written(Outcome):
    """What the model answered, greedily.

    Attributes:
        reference: the answer of the row.
        answer: the model's, without special tokens; may be empty.
        source: what was asked about: the row's input where it keeps one apart, else its prompt.
    """

    reference: str
    answer: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Classified(Outcome):
    """How likely the model finds each class.

    Attributes:
        label: number of the row's own class.
        probabilities: of every class, by its number.
    """

    label: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Weighed(Outcome):
    """How likely the model finds each of several answers to one question.

    Attributes:
        right: number of the right one.
        log_likelihoods: sum of log p over each answer's trained tokens, its end included, in nats.
        tokens: how many these are.
        size: bytes of each answer's text in UTF-8.
    """

    right: int
    log_likelihoods: tuple[float, ...]
    tokens: tuple[int, ...]
    size: tuple[int, ...]


class Metric(Component, ABC):
    """Scores what models did with rows.

    `measure` says of each row a few numbers, always under the same names; `summarise` makes figures
    of their sums over any number of rows. So corpus figures such as BLEU are had for every
    resample of the rows, which is where intervals come from. An empty answer is an answer: it is
    measured like any other, never left out.
    """

    reads: ClassVar[type[Outcome]]
    """Which of the things a model can do with a row it looks at."""
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]]
    """The figures `summarise` may give, and which of two values is the better."""
    headline: ClassVar[str] = ""
    """The figure that tells the better of two models where one must do; else the first of these."""

    @abstractmethod
    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """Numbers of one row that add up over rows.

        Args:
            outcome: of the kind that `reads` names.

        Raises:
            LorafwError: the row is none that this metric can score, whatever the model did.
        """

    @abstractmethod
    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """Figures from the sums of what `measure` gave, of one row or more."""

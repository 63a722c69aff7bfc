"""Accuracy, precision, recall, F1 and MCC from three counts per class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_BY_CLASS = ("f1", "precision", "recall")
FIGURES = (
    *("accuracy", *_BY_CLASS, "mcc"),
    *(f"{name}_{mean}" for name in _BY_CLASS for mean in ("macro", "weighted")),
)
"""Every figure there may be; which of them there are depends on the number of classes."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The margins and the diagonal of a confusion matrix; they add up over any split of the rows.

    Attributes:
        hits: per class, rows of it that were taken for it.
        predicted: per class, rows that were taken for it.
        actual: per class, rows of it.
    """

    hits: Sequence[float]
    predicted: Sequence[float]
    actual: Sequence[float]

    @property
    def rows(self) -> float:
        """How many rows were counted."""
        return sum(self.actual)

    def precision(self, label: int) -> float:
        """Share of the rows taken for a class that are of it; 0 if none was taken for it."""
        return _ratio(self.hits[label], self.predicted[label])

    def recall(self, label: int) -> float:
        """Share of the rows of a class that were taken for it; 0 if there are none."""
        return _ratio(self.hits[label], self.actual[label])

    def f1(self, label: int) -> float:
        """Harmonic mean of precision and recall; 0 if both are."""
        return _ratio(2 * self.hits[label], self.predicted[label] + self.actual[label])

    def macro(self, figure: Callable[[int], float]) -> float:
        """Mean of a figure over the classes that occur, as label or as prediction."""
        occurring = [
            label for label in self._labels() if self.predicted[label] + self.actual[label]
        ]
        return _ratio(sum(figure(label) for label in occurring), len(occurring))

    def weighted(self, figure: Callable[[int], float]) -> float:
        """Mean of a figure over the rows, each counting for its class."""
        return _ratio(
            sum(figure(label) * self.actual[label] for label in self._labels()), self.rows
        )

    def accuracy(self) -> float:
        """Share of the rows that were taken for what they are."""
        return _ratio(sum(self.hits), self.rows)

    def mcc(self) -> float:
        """Matthews' correlation for any number of classes (Gorodkin 2004, R_K); 0 if undefined."""
        rows = self.rows
        agreement = sum(self.hits) * rows - _product(self.predicted, self.actual)
        spread = [rows**2 - _product(side, side) for side in (self.predicted, self.actual)]
        return _ratio(agreement, math.sqrt(spread[0]) * math.sqrt(spread[1]))

    def _labels(self) -> range:
        return range(len(self.actual))


def figures(counts: ClassCounts) -> dict[str, float]:
    """All figures; of class 1 where there are two classes, else `…_macro` and `…_weighted`."""
    return {"accuracy": counts.accuracy(), **dict(_by_class(counts)), "mcc": counts.mcc()}


def _by_class(counts: ClassCounts) -> Iterator[tuple[str, float]]:
    kinds = {"f1": counts.f1, "precision": counts.precision, "recall": counts.recall}
    for name, figure in kinds.items():
        if len(counts.actual) == 2:
            yield name, figure(1)
        else:
            yield f"{name}_macro", counts.macro(figure)
            yield f"{name}_weighted", counts.weighted(figure)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _product(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))

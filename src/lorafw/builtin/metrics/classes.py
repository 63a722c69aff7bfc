"""Metric `classes`: how well a classifier tells rows apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.contracts.metric import Classified, Metric, Outcome
from lorafw.figures.classification import FIGURES, ClassCounts, figures

_COUNTS = ("hits", "predicted", "actual")
_LEAST = 1e-38
"""Smallest probability that a log loss tells from 0: what fp32 holds."""


class Classes(Metric):
    """Accuracy, precision, recall, F1, Matthews' correlation and log loss of a classifier."""

    reads: ClassVar[type[Outcome]] = Classified
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "log_loss": "lower",
        **dict.fromkeys(FIGURES, "higher"),
    }
    headline: ClassVar[str] = "accuracy"

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """-log p of the row's class, and of each class whether it is right, predicted, or both."""
        assert isinstance(outcome, Classified)
        chances, label = outcome.probabilities, outcome.label
        taken = chances.index(max(chances))
        found = {"log_loss": -math.log(max(chances[label], _LEAST)), "rows": 1.0}
        for each in range(len(chances)):
            is_label, is_taken = each == label, each == taken
            counts = (is_label and is_taken, is_taken, is_label)
            found |= {f"{name}/{each}": float(n) for name, n in zip(_COUNTS, counts, strict=True)}
        return found

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """Log loss per row, in nats, and what follows from the counts of each class."""
        classes = sum(name.startswith("actual/") for name in totals)
        counts = {name: [totals[f"{name}/{label}"] for label in range(classes)] for name in _COUNTS}
        return {**figures(ClassCounts(**counts)), "log_loss": totals["log_loss"] / totals["rows"]}

"""Objective `classification`: cross-entropy of the class of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lorafw.contracts.model import ModelBundle
from lorafw.contracts.objective import Objective
from lorafw.figures.classification import FIGURES, ClassCounts, figures
from lorafw.types import IGNORE_INDEX, Batch, Task

if TYPE_CHECKING:
    from torch import Tensor

_COUNTS = ("hits", "predicted", "actual")
"""What is counted of each class; the fields of `ClassCounts`."""


class Classification(Objective):
    """Cross-entropy of each row's class, divided once by the rows of the global batch."""

    task: ClassVar[Task] = Task.CLASSIFICATION
    units: ClassVar[tuple[str, ...]] = ("rows",)
    sums: ClassVar[tuple[str, ...]] = ("loss", "rows")
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "loss": "lower",
        **dict.fromkeys(FIGURES, "higher"),
    }

    def sums_of(self, bundle: ModelBundle) -> tuple[str, ...]:
        """Loss and rows, and of each class the hits and how often it was predicted and right."""
        classes = range(len(bundle.labels))
        return (*self.sums, *(f"{name}/{label}" for name in _COUNTS for label in classes))

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """How many rows have a class."""
        return {"rows": int((batch.labels != IGNORE_INDEX).sum())}

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """Summed cross-entropy over the global count of rows."""
        return _cross_entropy(_scores(bundle, batch), batch.labels) / totals["rows"]

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """Summed cross-entropy, rows, and three counts of each class."""
        import torch

        scores, known = _scores(bundle, batch), batch.labels != IGNORE_INDEX
        actual, predicted = batch.labels[known], scores.argmax(-1)[known]
        counted = (actual[actual == predicted], predicted, actual)
        sums = {"loss": _cross_entropy(scores, batch.labels), "rows": known.sum()}
        for name, classes in zip(_COUNTS, counted, strict=True):
            found = torch.bincount(classes, minlength=len(bundle.labels))
            sums |= {f"{name}/{label}": count for label, count in enumerate(found)}
        return sums

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """Mean loss per row (nats), accuracy, F1, precision, recall and MCC."""
        classes = sum(name.startswith("actual/") for name in totals)
        counts = {name: [totals[f"{name}/{label}"] for label in range(classes)] for name in _COUNTS}
        loss = totals["loss"] / totals["rows"]
        return {"loss": loss, **figures(ClassCounts(**counts)), "rows": totals["rows"]}


def _scores(bundle: ModelBundle, batch: Batch) -> Tensor:
    return bundle.logits(bundle.hidden(batch.inputs).rows).float()


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(scores, labels, ignore_index=IGNORE_INDEX, reduction="sum")

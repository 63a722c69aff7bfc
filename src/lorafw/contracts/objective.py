"""Objective: what is minimised, as sums that add up over any split of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from lorafw.contracts.component import Component
from lorafw.contracts.model import ModelBundle
from lorafw.errors import ConfigError, did_you_mean
from lorafw.types import Batch, Task

if TYPE_CHECKING:
    from torch import Tensor


class Objective(Component, ABC):
    """A loss that is a sum over things it counts.

    The loop adds the counts of all micro-batches on all ranks before the first forward pass and
    hands the totals to `loss`, which returns this batch's share of the global loss. So the
    division happens once, and every split of a global batch gives the same update.
    """

    task: ClassVar[Task]
    units: ClassVar[tuple[str, ...]]
    """Names of what `counts` counts, in a fixed order."""
    sums: ClassVar[tuple[str, ...]]
    """Names of what `measure` sums up, in a fixed order."""
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"loss": "lower"}
    """Figures of `summarise` that tell the better of two models, and which of two values it has."""

    def sums_of(self, bundle: ModelBundle) -> tuple[str, ...]:  # noqa: ARG002 - for those that ask
        """`sums`, where the model at hand does not add to them (its classes, for example)."""
        return self.sums

    @abstractmethod
    def counts(self, batch: Batch) -> Mapping[str, int]:
        """What the loss will be divided by, by unit; needs no model."""

    @abstractmethod
    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """This batch's share of the global loss: fp32 scalar with a graph, even with no target."""

    @abstractmethod
    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """Sums for evaluation (loss, correct, counts): fp64 scalars that add up over batches."""

    @abstractmethod
    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """Evaluation figures from the totals of `measure`; always has `loss`."""

    def higher_is_better(self, figure: str) -> bool:
        """Which way a figure tells the better of two models.

        Raises:
            ConfigError: it does not, by `better`.
        """
        if figure in self.better:
            return self.better[figure] == "higher"
        raise ConfigError(
            f"'{figure}' is no figure by which this objective tells the better of two models.",
            where="plan.metric_for_best",
            mend=did_you_mean(figure, self.better) or f"Known: {', '.join(self.better)}.",
        )

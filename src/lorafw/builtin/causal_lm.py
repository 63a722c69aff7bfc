"""Objective `causal-lm`: cross-entropy of the next token, head applied only to labelled rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lorafw.contracts.model import ModelBundle
from lorafw.contracts.objective import Objective
from lorafw.types import IGNORE_INDEX, Batch, Task

if TYPE_CHECKING:
    from torch import Tensor


class CausalLM(Objective):
    """Next-token cross-entropy, divided once by the trained tokens of the global batch."""

    task: ClassVar[Task] = Task.CAUSAL_LM
    units: ClassVar[tuple[str, ...]] = ("targets",)
    sums: ClassVar[tuple[str, ...]] = ("loss", "targets")
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "loss": "lower",
        "perplexity": "lower",
    }

    chunk_rows: int = Field(
        512, ge=1, description="Rows per pass through the head; bounds the memory of logits."
    )

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """How many tokens are trained."""
        return {"targets": int((batch.labels != IGNORE_INDEX).sum())}

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        """Summed cross-entropy of the labelled rows over the global count of targets."""
        hidden = bundle.hidden(batch.inputs)
        loss = self._cross_entropy(bundle, hidden.rows, batch.labels) / totals["targets"]
        if hidden.auxiliary is None:
            return loss
        trained = batch.labels != IGNORE_INDEX
        return loss + (hidden.auxiliary * trained).sum() / totals["targets"]

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        """Summed cross-entropy and the count of targets."""
        total = self._cross_entropy(bundle, bundle.hidden(batch.inputs).rows, batch.labels)
        return {"loss": total, "targets": (batch.labels != IGNORE_INDEX).sum()}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """Mean loss per trained token (nats) and perplexity."""
        loss = totals["loss"] / totals["targets"]
        perplexity = math.exp(min(loss, 700.0))  # beyond that a float overflows
        return {"loss": loss, "perplexity": perplexity, "targets": totals["targets"]}

    def _cross_entropy(self, bundle: ModelBundle, rows: Tensor, labels: Tensor) -> Tensor:
        from lorafw.training.loss import chunked_loss, label_loss

        trained = (labels != IGNORE_INDEX).flatten().nonzero().squeeze(1)
        rows = rows.flatten(0, -2).index_select(0, trained)
        targets = labels.flatten().index_select(0, trained)
        weight = bundle.head_weight
        if weight is None:
            return chunked_loss(rows, targets, _logits_of(bundle), chunk_rows=self.chunk_rows)
        return label_loss(rows, targets, weight, chunk_rows=self.chunk_rows)


def _logits_of(bundle: ModelBundle) -> Callable[[Tensor], Tensor]:
    """The head, for calls whose number differs from rank to rank."""
    from lorafw.training.unhooked import unhooked

    def logits(rows: Tensor) -> Tensor:
        with unhooked(bundle.head):
            return bundle.logits(rows)

    return logits

"""Metric `loss`: held-out loss and perplexity, token-weighted as in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.contracts.metric import Metric, Outcome, Predicted

LARGEST = 700.0
"""The exponential of more overflows a float."""


class Loss(Metric):
    """Loss per trained token, in nats, and perplexity: what a run's own evaluation reports."""

    reads: ClassVar[type[Outcome]] = Predicted
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "loss": "lower",
        "perplexity": "lower",
    }

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """The row's summed loss and its tokens."""
        assert isinstance(outcome, Predicted)
        return {"loss": outcome.loss, "tokens": float(outcome.tokens)}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """All loss over all tokens: a long row counts for more than a short one."""
        loss = totals["loss"] / totals["tokens"]
        return {"loss": loss, "perplexity": math.exp(min(loss, LARGEST))}

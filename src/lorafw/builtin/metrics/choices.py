"""Metric `choices`: multiple choice by likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from lorafw.contracts.metric import Metric, Outcome, Weighed


class Choices(Metric):
    """Share of the questions whose right answer the model finds the likeliest.

    `acc` compares the answers' log-likelihoods, `acc_norm` those per byte of text, `acc_token`
    those per token; the first of equals counts.
    """

    reads: ClassVar[type[Outcome]] = Weighed
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = dict.fromkeys(
        ("acc", "acc_norm", "acc_token"), "higher"
    )

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """1 or 0 for every way of comparing."""
        assert isinstance(outcome, Weighed)
        sums, right = outcome.log_likelihoods, outcome.right
        per = {"acc": (1,) * len(sums), "acc_norm": outcome.size, "acc_token": outcome.tokens}
        found = {name: float(_likeliest(sums, sizes) == right) for name, sizes in per.items()}
        return {**found, "rows": 1.0}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """The share of right ones."""
        return {name: totals[name] / totals["rows"] for name in self.better}


def _likeliest(sums: Sequence[float], sizes: Sequence[int]) -> int:
    scores = [total / max(size, 1) for total, size in zip(sums, sizes, strict=True)]
    return scores.index(max(scores))

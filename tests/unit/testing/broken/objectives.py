"""Objectives with one fault each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import ModelBundle
from lorafw.types import Batch

if TYPE_CHECKING:
    from torch import Tensor


class Averaging(CausalLM):
    """The classic fault: a mean over each micro-batch."""

    breaks: ClassVar[tuple[str, ...]] = ("shares of any split add up to the whole",)

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        return super().loss(bundle, batch, {"targets": max(1, self.counts(batch)["targets"])})


class Graphless(CausalLM):
    """Returns a bare zero where there is nothing to train."""

    breaks: ClassVar[tuple[str, ...]] = (
        "without targets loss and gradients are zero and have a graph",
    )

    def loss(self, bundle: ModelBundle, batch: Batch, totals: Mapping[str, float]) -> Tensor:
        loss = super().loss(bundle, batch, totals)
        return loss if self.counts(batch)["targets"] else loss.detach()


class Totalling(CausalLM):
    """Reports the sum as if it were the mean."""

    breaks: ClassVar[tuple[str, ...]] = ("evaluation gives the loss that is trained",)

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {"loss": totals["loss"]}


class Uneven(CausalLM):
    """Measures means, which do not add up."""

    breaks: ClassVar[tuple[str, ...]] = (
        "evaluation gives the loss that is trained",
        "what is measured adds up over any split",
    )

    def measure(self, bundle: ModelBundle, batch: Batch) -> Mapping[str, Tensor]:
        sums = super().measure(bundle, batch)
        return {**sums, "loss": sums["loss"] / sums["targets"]}


class Misnamed(CausalLM):
    """Says it sums tokens, and sums targets."""

    breaks: ClassVar[tuple[str, ...]] = ("units and sums name what is returned",)

    sums: ClassVar[tuple[str, ...]] = ("loss", "tokens")

"""The module an engine wraps: model and objective in one forward that returns the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lorafw.contracts.model import ModelBundle
from lorafw.contracts.objective import Objective
from lorafw.types import Batch


class LossModule(nn.Module):
    """Returns the loss from inside `forward`, where the hooks of DDP and ZeRO-3 see everything."""

    def __init__(
        self,
        bundle: ModelBundle,
        objective: Objective,
        penalty: Callable[[], Tensor | None] = lambda: None,
    ) -> None:
        super().__init__()
        self.module = bundle.module
        self._bundle, self._objective, self._penalty = bundle, objective, penalty

    def serve(self, objective: Objective) -> None:
        """Compute another objective's loss from now on; what wraps the module need not know."""
        self._objective = objective

    def forward(
        self, inputs: Mapping[str, Tensor], labels: Tensor, totals: Mapping[str, float] | None
    ) -> Tensor:
        """The batch's share of the global loss; without totals, what the objective measures.

        Returns:
            An fp32 scalar with a graph, or fp64 [k] in the order of `objective.sums_of`.
        """
        batch = Batch(inputs, labels)
        if totals is not None:
            loss = self._objective.loss(self._bundle, batch, totals)
            penalty = self._penalty()
            return loss if penalty is None else loss + penalty * self._share(batch, totals)
        measured = self._objective.measure(self._bundle, batch)
        names = self._objective.sums_of(self._bundle)
        return torch.stack([measured[name].double() for name in names])

    def _share(self, batch: Batch, totals: Mapping[str, float]) -> float:
        """The batch's share of the step: over ranks and micro-batches these add up to one."""
        unit = self._objective.units[0]
        return float(self._objective.counts(batch)[unit]) / totals[unit]

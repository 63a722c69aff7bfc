"""Gradients of given rows at a model's live values, beside whatever an engine is doing.

They are computed apart from the engine, on parameters that every rank holds whole, so they can be
asked for between two passes of a step without touching what it has accumulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lorafw.contracts.trainer import RunningTrainer, TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan
from lorafw.training.collation import collated
from lorafw.types import Batch, Encoded


class RowGradients:
    """The gradients of some rows, shared among the ranks; every method is collective.

    Args:
        job: whose model, objective and layout.
        running: who shares the work; it keeps parameters whole.
        rows: at least one.
    """

    def __init__(self, job: TrainJob, running: RunningTrainer, rows: Sequence[Encoded]) -> None:
        self._job, self._running, self._rows = job, running, rows
        self._parameters = job.model.trainable()

    def mean(self) -> dict[str, Tensor]:
        """The gradient of the mean loss of the rows, as training divides it.

        Returns:
            By canonical name, fp32 on the CPU, the same on every rank.
        """
        batches = self._batches(self._job.plan.token_budget)
        totals, found = self._totals(batches), self._zeros()
        for batch in batches:
            _add(found, self._gradients(batch, totals))
        return self._over_ranks(found)

    def mean_squared(self) -> dict[str, Tensor]:
        """The mean over rows of the square of each row's own gradient.

        A row's loss is the sum over what it trains, its negative log-likelihood, which makes this
        the diagonal of the empirical Fisher information (Kirkpatrick et al. 2017,
        arXiv:1612.00796, below eq. 3).

        Returns:
            By canonical name, fp32 on the CPU, the same on every rank.
        """
        undivided, found = dict.fromkeys(self._job.objective.units, 1.0), self._zeros()
        for batch in self._batches(1):
            gradients = self._gradients(batch, undivided)
            _add(found, [gradient.square() / len(self._rows) for gradient in gradients])
        return self._over_ranks(found)

    def _batches(self, budget: int) -> list[Batch]:
        """This rank's share, in micro-batches of at most so many tokens."""
        job, world = self._job, self._running.world
        plan = BatchPlan(lengths_of(self._rows), len(self._rows), budget, job.layout, job.seed)
        parts = plan.sweep(world.rank, world.world_size)
        mine = [part for part in parts if not part.filler]
        return list(collated(job, self._rows, mine, world.device))

    def _totals(self, batches: Sequence[Batch]) -> dict[str, float]:
        counts, units = [self._job.objective.counts(b) for b in batches], self._job.objective.units
        mine = [float(sum(count[unit] for count in counts)) for unit in units]
        told = self._running.sum_over_ranks(torch.tensor(mine, dtype=torch.float64)).tolist()
        return dict(zip(units, told, strict=True))

    def _gradients(self, batch: Batch, totals: Mapping[str, float]) -> list[Tensor]:
        parameters = list(self._parameters.values())
        with torch.enable_grad():
            loss = self._job.objective.loss(self._job.model.bundle, batch, totals)
            return list(torch.autograd.grad(loss, parameters, materialize_grads=True))

    def _zeros(self) -> list[Tensor]:
        return [torch.zeros_like(p, requires_grad=False) for p in self._parameters.values()]

    def _over_ranks(self, found: Sequence[Tensor]) -> dict[str, Tensor]:
        summed = (self._running.sum_over_ranks(each.float()).cpu() for each in found)
        return dict(zip(self._parameters, summed, strict=True))


def _add(totals: Sequence[Tensor], terms: Sequence[Tensor]) -> None:
    for total, term in zip(totals, terms, strict=True):
        total.add_(term)

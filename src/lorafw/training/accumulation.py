"""The gradients of one global batch: micro-batch by micro-batch, again where something overflowed.

Every try begins from the same random numbers and from no gradients, so a try that memory or fp16
ended leaves no trace in the next one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lorafw.contracts.engine import Engine
from lorafw.contracts.trainer import TrainJob
from lorafw.training.embedding_noise import EmbeddingNoise
from lorafw.training.guards.memory import TokenBudget, free_what_failed, is_out_of_memory
from lorafw.training.loss_scaling import LossScaling
from lorafw.training.prefix.frozen_prefix import FrozenPrefix
from lorafw.training.randomness import seed_step
from lorafw.training.share import Share, Shares
from lorafw.types import Batch


@dataclass(frozen=True, slots=True)
class GlobalBatch:
    """One step's batch: its number, and what all ranks together counted in it."""

    step: int
    totals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Accumulated:
    """The loss of a global batch, and whether its gradients can be used."""

    loss: float
    overflow: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether neither the loss nor, in fp16, a gradient has left the finite numbers."""
        return math.isfinite(self.loss) and not self.overflow


class Accumulation:
    """Forward and backward passes of the steps of one job."""

    def __init__(
        self,
        job: TrainJob,
        engine: Engine,
        shares: Shares,
        budget: TokenBudget,
        scale: LossScaling,
        prefix: FrozenPrefix,
    ) -> None:
        self._job, self._engine, self._shares = job, engine, shares
        self._budget, self._scale, self._prefix = budget, scale, prefix
        self._noise = EmbeddingNoise(job)
        self._reducing = False

    def run(self, batch: GlobalBatch, share: Share) -> Accumulated:
        """Leave the step's gradients in the engine; collective.

        A gradient that overflows fp16 lowers the scale of the loss, and the step begins again.

        Raises:
            TrainingError: memory does not suffice, see `TokenBudget.halve`.
        """
        lowered = False
        while True:
            loss, share = self._within_memory(batch, share)
            found = self._over_ranks(loss)
            if not (found.overflow and math.isfinite(found.loss) and self._scale.lower()):
                break
            lowered = True
            self._engine.discard()
        if lowered:
            self._tell_scale(batch.step)
        return found

    def losses_of_rows(self, batch: GlobalBatch) -> tuple[Share, list[Tensor]]:
        """This rank's rows of a step one by one, and the share of each in the loss; collective.

        Without gradients; every rank runs equally many, as under `Engine.lockstep`.
        """
        share = self._shares.of(batch.step, 1)
        seed_step(self._job.seed, batch.step, self._engine.world.rank)
        with torch.no_grad():
            return share, [self._forward(batch, one) for one in share.batches]

    def _within_memory(self, batch: GlobalBatch, share: Share) -> tuple[Tensor, Share]:
        """This rank's loss, and its share as it was cut in the end."""
        while True:
            seed_step(self._job.seed, batch.step, self._engine.world.rank)
            done, loss = self._passes(batch, share)
            if done == len(share.parts):
                return loss, share
            free_what_failed()
            failed = share.parts[done]
            self._budget.halve(failed, self._shares.lengths, reducing=self._reducing)
            self._engine.discard()
            share = self._shares.of(batch.step, self._budget.tokens)

    def _passes(self, batch: GlobalBatch, share: Share) -> tuple[int, Tensor]:
        """How many micro-batches there was memory for, and the sum of their losses."""
        total = torch.zeros((), device=self._engine.world.device)
        for index, one in enumerate(share.batches):
            try:
                total += self._pass(batch, one, last=index == len(share.batches) - 1)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                return index, total
        return len(share.batches), total

    def _pass(self, batch: GlobalBatch, one: Batch, *, last: bool) -> Tensor:
        """Add the gradients of a micro-batch.

        Engines average over ranks while the losses of the ranks add up to the global loss, so each
        is multiplied by the number of ranks before its backward pass.
        """
        engine, self._reducing = self._engine, False
        with engine.accumulate(last=last):
            with self._prefix.used(one.inputs):
                loss = self._forward(batch, one)
            self._reducing = last
            engine.backward(loss * (engine.world.world_size * self._scale.factor))
        return loss.detach()

    def _forward(self, batch: GlobalBatch, one: Batch) -> Tensor:
        with self._noise.added(one.inputs, batch.step):
            return self._engine.forward(one, batch.totals)

    def _over_ranks(self, loss: Tensor) -> Accumulated:
        told = torch.stack([loss, *self._scale.taken_overflow()])
        total, *flags = self._engine.all_reduce_sum(told).tolist()
        return Accumulated(total, overflow=any(flags))

    def _tell_scale(self, step: int) -> None:
        if self._engine.world.rank == 0:
            self._job.emit(
                "notice",
                message=f"Gradients of step {step + 1} overflowed fp16; they were computed again "
                f"with a loss scale of {self._scale.factor:g}.",
            )

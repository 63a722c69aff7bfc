"""Engines that go wrong on purpose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lorafw.contracts import StepOutcome
from lorafw.testing.toy_training import ROWS, SEED, training_rows
from lorafw.training.batches import shuffled
from lorafw.training.whole_engine import WholeEngine
from lorafw.types import Batch

BAD_ROW = int(shuffled(ROWS, SEED, 0)[2])
"""A row of the first step."""


class Poisoned(WholeEngine):
    """Gives NaN for every batch that holds one certain row; not in evaluation."""

    row: tuple[int, ...] = tuple(training_rows()[BAD_ROW].input_ids)

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        loss = super().forward(batch, totals)
        if totals is None or not self._holds(batch.inputs["input_ids"].tolist()):
            return loss
        return loss * math.nan

    def _holds(self, ids: list[int]) -> bool:
        starts = range(len(ids) - len(self.row) + 1)
        return any(ids[at : at + len(self.row)] == list(self.row) for at in starts)


class Diverged(WholeEngine):
    """Every loss is infinite."""

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        return super().forward(batch, totals) * (1 if totals is None else math.inf)


class DivergedLater(WholeEngine):
    """Every loss after the first step is infinite."""

    begun = False

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        infinite = self.begun and totals is not None
        return super().forward(batch, totals) * (math.inf if infinite else 1)

    def step(self, *, learning_rate: float) -> StepOutcome:
        self.begun = True
        return super().step(learning_rate=learning_rate)


class Steep(WholeEngine):
    """Finite losses, and gradients that overflow in some steps, counted from one."""

    done = 0
    overflows: tuple[int, ...] = (2,)

    def step(self, *, learning_rate: float) -> StepOutcome:
        self.done += 1
        if self.done in self.overflows:
            next(iter(self._parameters.values())).grad.fill_(math.inf)  # type: ignore[union-attr]
        return super().step(learning_rate=learning_rate)


class Careless(WholeEngine):
    """Writes into a norm of the base in its third step, by the smallest change there is."""

    done = 0
    ranks = (0, 1)

    def step(self, *, learning_rate: float) -> StepOutcome:
        self.done += 1
        if self.done == 3 and self.world.rank in self.ranks:
            weight = self._job.module.get_parameter("module.model.norm.weight").data
            weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
        return super().step(learning_rate=learning_rate)


class Cramped(WholeEngine):
    """Has room for so many tokens: on the way there, or `behind`, when gradients are there already.

    On the way back it fails in none but a micro-batch that is not the last.
    """

    room = 60
    behind = False
    ranks = (0, 1)
    error: BaseException = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        self._last = last
        return super().accumulate(last=last)

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        tokens = batch.inputs["input_ids"].numel()
        self._too_many = tokens > self.room and self.world.rank in self.ranks
        if self._too_many and not (self.behind and totals is not None):
            raise self.error
        return super().forward(batch, totals)

    def backward(self, loss: Tensor) -> None:
        fails = self._too_many and not (self._last and self.world.world_size > 1)
        super().backward(loss * (7 if fails else 1))
        if fails:
            raise self.error

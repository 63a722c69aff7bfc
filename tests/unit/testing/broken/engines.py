"""Engines with one fault each."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lorafw.contracts import (
    Engine,
    EngineJob,
    FitResult,
    StepOutcome,
    TrainingState,
    TrainJob,
    World,
)
from lorafw.training.engine_runner import EngineRunner
from lorafw.training.optimizer import set_learning_rate
from lorafw.training.whole_engine import WholeEngine

_opened = itertools.count()


class Mean(WholeEngine):
    """Divides by the number of micro-batches."""

    _micro_batches = 0

    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        self._micro_batches += 1
        return super().accumulate(last=last)

    def gradients(self) -> dict[str, Tensor]:
        return {name: g / self._micro_batches for name, g in super().gradients().items()}

    def step(self, *, learning_rate: float) -> StepOutcome:
        for parameter in self._parameters.values():
            assert parameter.grad is not None
            parameter.grad /= self._micro_batches
        self._micro_batches = 0
        return super().step(learning_rate=learning_rate)


class Rate(WholeEngine):
    """Leaves the optimizer at the rate it was built with."""

    def step(self, *, learning_rate: float) -> StepOutcome:
        del learning_rate
        return super().step(learning_rate=self._optimizer.defaults["lr"])


class Norm(WholeEngine):
    """Reports the norm after clipping."""

    def _clip(self) -> Tensor:
        super()._clip()
        return nn.utils.get_total_norm(
            p.grad for p in self._parameters.values() if p.grad is not None
        )


class Step(WholeEngine):
    """Forgets how many steps AdamW has done."""

    def load_state(self, state: TrainingState) -> None:
        super().load_state(state)
        for parameter in self._parameters.values():
            self._optimizer.state[parameter]["step"].zero_()


class Hoard(WholeEngine):
    """Keeps the gradients of a step that was given up."""

    def discard(self) -> None:
        pass


class Reckless(WholeEngine):
    """Updates, whatever the gradients are."""

    def step(self, *, learning_rate: float) -> StepOutcome:
        norm = float(self._clip())
        set_learning_rate(self._optimizer.param_groups, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepOutcome(norm)


class Dialect(WholeEngine):
    """Writes moments that only it can read."""

    def state(self) -> TrainingState:
        return _mirrored(super().state())

    def load_state(self, state: TrainingState) -> None:
        super().load_state(_mirrored(state))


def _mirrored(state: TrainingState) -> TrainingState:
    return {
        name: {key: -tensor if key == "exp_avg" else tensor for key, tensor in tensors.items()}
        for name, tensors in state.items()
    }


class Memory(WholeEngine):
    """Every second engine of a process computes a little differently."""

    def __init__(self, job: EngineJob, world: World, wrapped: nn.Module) -> None:
        super().__init__(job, world, wrapped)
        self._factor = 1 + 3e-7 * (next(_opened) % 2)

    def step(self, *, learning_rate: float) -> StepOutcome:
        outcome = super().step(learning_rate=learning_rate)
        with torch.no_grad():
            for parameter in self._parameters.values():
                parameter.mul_(self._factor)
        return outcome


class Thaw(WholeEngine):
    """Lets weight decay reach the base."""

    def step(self, *, learning_rate: float) -> StepOutcome:
        with torch.no_grad():
            for parameter in self._job.module.parameters():
                if not parameter.requires_grad:
                    parameter.mul_(1 - 1e-7)
        return super().step(learning_rate=learning_rate)


class Unscaled(WholeEngine):
    """Takes the mean over ranks for the sum: right alone, wrong in company."""

    def backward(self, loss: Tensor) -> None:
        super().backward(loss / self.world.world_size)


_ENGINES = {
    "none": WholeEngine,
    "echo": WholeEngine,
    "mean": Mean,
    "rate": Rate,
    "norm": Norm,
    "step": Step,
    "hoard": Hoard,
    "reckless": Reckless,
    "dialect": Dialect,
    "memory": Memory,
    "thaw": Thaw,
    "unscaled": Unscaled,
}


def open_engine(fault: str, job: EngineJob, world: World) -> Engine:
    """An engine with that fault."""
    wrapped = DistributedDataParallel(job.module) if world.world_size > 1 else job.module
    return _ENGINES[fault](job, world, wrapped)


class EchoingRunner(EngineRunner):
    """Announces every event twice."""

    def fit(self, job: TrainJob) -> FitResult:
        def emit(event: str, **payload: Any) -> None:
            job.emit(event, **payload)
            job.emit(event, **payload)

        return super().fit(replace(job, emit=emit))

"""The engine of `deepspeed`: forward, backward and step are DeepSpeed's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import deepspeed
from torch import Tensor

from lorafw.contracts import EngineJob, StepOutcome, World
from lorafw.training.optimizer import set_learning_rate
from lorafw.training.whole_engine import WholeEngine


class DeepSpeedEngine(WholeEngine):
    """Stage 0. In fp32 it clips and forgets the norm, so clipping is done here."""

    def __init__(self, job: EngineJob, world: World, config: dict[str, Any]) -> None:
        self._deepspeed, *_ = deepspeed.initialize(
            model=job.module, optimizer=job.optimizer, config=config
        )
        super().__init__(job, world, self._deepspeed)
        self._stage: int = config["zero_optimization"]["stage"]
        self.lockstep = self._stage > 1  # these reduce in every backward pass

    @contextmanager
    def accumulate(self, *, last: bool) -> Iterator[None]:
        """Tell DeepSpeed which micro-batch is the last, before its forward pass."""
        self._deepspeed.set_gradient_accumulation_boundary(last)
        yield

    def backward(self, loss: Tensor) -> None:
        """Add this loss's gradients, unscaled."""
        self._deepspeed.backward(loss, scale_wrt_gas=False)

    def step(self, *, learning_rate: float) -> StepOutcome:
        """Clip by the global norm, update, zero; or only zero, if the norm is not finite."""
        norm = float(self._clip())
        if not math.isfinite(norm):
            self.discard()
            return StepOutcome(norm, skipped=True)
        self._update(learning_rate)
        return StepOutcome(norm)

    def _update(self, learning_rate: float) -> None:
        set_learning_rate(self._deepspeed.optimizer.param_groups, learning_rate)
        self._deepspeed.step()

    def discard(self) -> None:
        """Drop the gradients."""
        self._stop_timers()
        super().discard()

    def _stop_timers(self) -> None:
        """A pass that raised left its timers running, and they start only once."""
        for timer in self._deepspeed.timers.get_timers().values():
            timer.reset()

    def close(self) -> None:
        """Remove DeepSpeed's hooks from the module."""
        super().close()
        self._deepspeed.destroy()

"""The engine of ZeRO stages 1 to 3: optimizer state lives in partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import deepspeed
import torch
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_grad,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_grad,
    safe_set_full_optimizer_state,
)
from torch import Tensor, nn

from lorafw.contracts import EngineJob, StepOutcome, TrainingState, World
from lorafw.training.optimizer_memory import VALUE, as_tensors, from_tensors
from lorafw.training.unhooked import without_hooks_of
from lorafw_deepspeed._discarding import discard
from lorafw_deepspeed._engine import DeepSpeedEngine
from lorafw_deepspeed._partitions import begin, first_memory, forget, memory, remember


class ZeroEngine(DeepSpeedEngine):
    """Stages 1 to 3. Every `safe_*` call is collective: all ranks, in the same order."""

    def __init__(self, job: EngineJob, world: World, config: dict[str, Any]) -> None:
        self._first = first_memory(job.optimizer)
        super().__init__(job, world, config)
        self._zero = self._deepspeed.optimizer
        begin(self._zero, job.optimizer, self._first)

    def gradients(self) -> dict[str, Tensor]:
        """Whole gradients, gathered from the partitions."""
        found = {name: safe_get_full_grad(p) for name, p in self._parameters.items()}
        return {name: grad.detach().clone() for name, grad in found.items() if grad is not None}

    def set_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Write each rank's part of them."""
        for name, parameter in self._parameters.items():
            safe_set_full_grad(parameter, gradients[name])

    def step(self, *, learning_rate: float) -> StepOutcome:
        """DeepSpeed clips, since only it sees the whole norm, and skips what is not finite."""
        self._update(learning_rate)
        norm = float(self._deepspeed.get_global_grad_norm())
        skipped = not self._deepspeed.was_step_applied()
        if skipped:
            self.discard()
        return StepOutcome(norm, skipped)

    def discard(self) -> None:
        """Drop the gradients, wherever DeepSpeed has put them."""
        self._stop_timers()
        discard(self._zero, self._job.module)

    def state(self) -> TrainingState:
        """Values and what the optimizer remembers, gathered from the partitions."""
        cut, single = memory(self._zero)
        return {
            name: {**as_tensors(single), **self._gathered(parameter, cut)}
            for name, parameter in self._parameters.items()
        }

    def _gathered(self, parameter: nn.Parameter, cut: list[str]) -> dict[str, Tensor]:
        value = safe_get_full_fp32_param(parameter)
        held = {key: safe_get_full_optimizer_state(parameter, key) for key in cut}
        return as_tensors({VALUE: value, **{key: t.view(value.shape) for key, t in held.items()}})

    def load_state(self, state: TrainingState) -> None:
        """Write masters and what belongs to them, then the weights that the forward pass uses."""
        cut = self._make_room(state)
        for name, parameter in self._parameters.items():
            tensors = {key: t.to(self.world.device) for key, t in state[name].items()}
            value = tensors[VALUE]
            safe_set_full_fp32_param(parameter, value)
            for key in cut:
                held = tensors.get(key, torch.zeros_like(value))  # zero where nothing ever came
                safe_set_full_optimizer_state(parameter, held, key)
            self._write_forward_value(parameter, value)

    def _make_room(self, state: TrainingState) -> list[str]:
        """Set the single values of a state; the keys of its tensors, made and still zero."""
        fullest = max(state.values(), key=len)
        held = {key: tensor for key, tensor in fullest.items() if key != VALUE}
        if not held:
            begin(self._zero, self._job.optimizer, self._first)
            return []
        cut = [key for key, tensor in held.items() if tensor.dim()]
        single = from_tensors({key: t for key, t in held.items() if key not in cut})
        remember(self._zero, cut, single)
        return cut

    def _write_forward_value(self, parameter: nn.Parameter, value: Tensor) -> None:
        if self._stage < 3:
            parameter.data.copy_(value)
            return
        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
            if self.world.rank == 0:
                parameter.data.copy_(value)

    @contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Stage 3 gathers everything; the other stages never took it apart."""
        if self._stage < 3:
            yield
            return
        with (
            deepspeed.zero.GatheredParameters(list(self._job.module.parameters())),
            torch.no_grad(),
            without_hooks_of(self._job.module, "deepspeed"),
        ):
            yield

    def close(self) -> None:
        """Leave nothing of this module in DeepSpeed's own lists."""
        super().close()
        forget(self._job.module)

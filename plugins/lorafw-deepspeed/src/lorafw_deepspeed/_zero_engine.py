"""The engine of ZeRO stages 1 to 3: optimizer state lives in partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import deepspeed
import torch
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_grad,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from torch import Tensor, nn

from lorafw.contracts import EngineJob, StepOutcome, TrainingState, World
from lorafw_deepspeed._engine import DeepSpeedEngine
from lorafw_deepspeed._partitions import MOMENTS, forget, materialise, step_of


class ZeroEngine(DeepSpeedEngine):
    """Stages 1 to 3. Every `safe_*` call is collective: all ranks, in the same order."""

    def __init__(
        self, job: EngineJob, world: World, stage: int, persistence_threshold: int
    ) -> None:
        super().__init__(job, world, stage, persistence_threshold)
        materialise(self._deepspeed.optimizer)

    def gradients(self) -> dict[str, Tensor]:
        """Whole gradients, gathered from the partitions."""
        found = {name: safe_get_full_grad(p) for name, p in self._parameters.items()}
        return {name: grad.detach().clone() for name, grad in found.items() if grad is not None}

    def step(self, *, learning_rate: float) -> StepOutcome:
        """DeepSpeed clips here, since only it sees the whole norm."""
        self._update(learning_rate)
        norm = float(self._deepspeed.get_global_grad_norm())
        return StepOutcome(norm, skipped=not self._deepspeed.was_step_applied())

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        held = {key: safe_get_full_optimizer_state(parameter, key) for key in MOMENTS}
        held["value"] = safe_get_full_fp32_param(parameter)
        state = {key: tensor.detach().cpu().clone() for key, tensor in held.items()}
        shape = state["value"].shape
        return {
            "step": step_of(self._deepspeed.optimizer),
            **{key: tensor.view(shape) for key, tensor in state.items()},
        }

    def load_state(self, state: TrainingState) -> None:
        """Write masters and moments, then the weights that the forward pass uses."""
        steps = {float(tensors["step"]) for tensors in state.values()}
        materialise(self._deepspeed.optimizer, step=steps.pop())
        for name, parameter in self._parameters.items():
            tensors = {key: t.to(self.world.device) for key, t in state[name].items()}
            safe_set_full_fp32_param(parameter, tensors["value"])
            for key in MOMENTS:
                safe_set_full_optimizer_state(parameter, tensors[key], key)
            self._write_forward_value(parameter, tensors["value"])

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
        ):
            yield

    def close(self) -> None:
        """Leave nothing of this module in DeepSpeed's own lists."""
        super().close()
        forget(self._job.module)

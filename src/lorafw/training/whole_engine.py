"""WholeEngine: what engines share in which every rank holds every parameter whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lorafw.contracts.engine import Engine, EngineJob, StepOutcome, TrainingState, World
from lorafw.training.ddp_wrapper import forget_reduction, reduces, tame
from lorafw.training.optimizer import set_learning_rate
from lorafw.training.optimizer_memory import VALUE, OptimizerMemory, as_tensors
from lorafw.types import Batch


class WholeEngine(Engine):
    """Keeps parameters and optimizer where torch keeps them; subclasses wrap the module.

    Args:
        job: what core hands over.
        world: this process among its peers.
        wrapped: `job.module` in the backend's wrapper, or as it is.
    """

    lockstep = False

    def __init__(self, job: EngineJob, world: World, wrapped: nn.Module) -> None:
        self.world = world
        self._job, self._wrapped = job, wrapped
        self._parameters, self._optimizer = job.parameters, job.optimizer
        self._memory = OptimizerMemory(job.optimizer)
        self._torn = False
        tame(wrapped)

    def forward(self, batch: Batch, totals: Mapping[str, float] | None) -> Tensor:
        """The wrapped module's result for one micro-batch."""
        result = self._wrapped(batch.inputs, batch.labels, totals)
        assert isinstance(result, Tensor)
        return result

    def accumulate(self, *, last: bool) -> Context[None]:
        """Reduce gradients on the last micro-batch only."""
        no_sync = getattr(self._wrapped, "no_sync", nullcontext)
        context: Context[None] = nullcontext() if last else no_sync()
        return context

    def backward(self, loss: Tensor) -> None:
        """Add this loss's gradients."""
        self._torn = reduces(self._wrapped)
        self._differentiate(loss)
        self._torn = False

    def _differentiate(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def gradients(self) -> dict[str, Tensor]:
        """Copies of the reduced gradients."""
        found = {name: p.grad for name, p in self._parameters.items()}
        return {name: grad.detach().clone() for name, grad in found.items() if grad is not None}

    @torch.no_grad()
    def set_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Write them where the optimizer will look."""
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                parameter.grad.copy_(gradients[name])

    def step(self, *, learning_rate: float) -> StepOutcome:
        """Clip by the global norm, update, zero; or only zero, if the norm is not finite."""
        norm = float(self._clip())
        if not math.isfinite(norm):
            self.discard()
            return StepOutcome(norm, skipped=True)
        set_learning_rate(self._optimizer.param_groups, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepOutcome(norm)

    def discard(self) -> None:
        """Drop the gradients, and let the wrapper run again where their reduction was torn off."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._torn:
            forget_reduction(self._wrapped)
        self._torn = False

    def _clip(self) -> Tensor:
        limit = self._job.max_grad_norm
        return nn.utils.clip_grad_norm_(
            self._parameters.values(), float("inf") if limit is None else limit
        )

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place."""
        if self.world.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def state(self) -> TrainingState:
        """Values and what the optimizer remembers, copied to the CPU."""
        return {name: self._state_of(p) for name, p in self._parameters.items()}

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        return {**as_tensors({VALUE: parameter}), **self._memory.of(parameter)}

    def load_state(self, state: TrainingState) -> None:
        """Write values in place and replace what the optimizer remembers."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                tensors = dict(state[name])
                parameter.copy_(tensors.pop(VALUE))
                self._memory.restore(parameter, tensors)

    @contextmanager
    def full_parameters(self) -> Iterator[None]:
        """Nothing to do: they always are."""
        yield

    def close(self) -> None:
        """Let go of the wrapper."""
        self._wrapped = self._job.module

"""The engine of `accelerate`: wrapping, backward and clipping are Accelerate's."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lorafw.contracts import EngineJob, World
from lorafw.training.whole_engine import WholeEngine
from lorafw_accelerate._start import start_accelerate


def open_whole(job: EngineJob, world: World) -> AccelerateEngine:
    """Let Accelerate wrap the module; every rank holds every parameter."""
    accelerator = start_accelerate(world)
    # It lies where it belongs: on CPU ranks Accelerate would copy it from "cpu" to "cpu:0".
    wrapped = accelerator.prepare_model(job.module, device_placement=False)
    return AccelerateEngine(job, world, accelerator, wrapped)


class AccelerateEngine(WholeEngine):
    """Core's optimizer stays the one that holds the state, and that is stepped."""

    def __init__(
        self, job: EngineJob, world: World, accelerator: Accelerator, wrapped: nn.Module
    ) -> None:
        self._accelerator = accelerator
        super().__init__(job, world, wrapped)

    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        """Reduce gradients on the last micro-batch only."""
        if last:
            return super().accumulate(last=True)
        context: AbstractContextManager[None] = self._accelerator.no_sync(self._wrapped)
        return context

    def _differentiate(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def _clip(self) -> Tensor:
        limit = self._job.max_grad_norm
        norm = self._accelerator.clip_grad_norm_(
            list(self._parameters.values()), float("inf") if limit is None else limit
        )
        assert isinstance(norm, torch.Tensor)
        return norm

    def close(self) -> None:
        """Let Accelerate drop its references."""
        super().close()
        self._accelerator.free_memory()

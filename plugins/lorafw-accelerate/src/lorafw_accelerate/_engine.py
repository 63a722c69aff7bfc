"""The engine of `accelerate`: wrapping, backward and clipping are Accelerate's."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor

from lorafw.contracts import EngineJob, World
from lorafw.errors import TrainingError
from lorafw.training.whole_engine import WholeEngine


class AccelerateEngine(WholeEngine):
    """Core's optimizer stays the one that holds the state; Accelerate only drives it."""

    def __init__(self, job: EngineJob, world: World) -> None:
        # Without cpu=True and without a GPU every rank would train alone, unnoticed.
        self._accelerator = Accelerator(cpu=world.device.type == "cpu", mixed_precision="no")
        if self._accelerator.num_processes != world.world_size:
            raise TrainingError(
                f"Accelerate sees {self._accelerator.num_processes} processes, the launcher "
                f"started {world.world_size}.",
                where="trainer.accelerate",
                mend="Look for ACCELERATE_* variables in the environment.",
            )
        wrapped = self._accelerator.prepare_model(job.module)
        super().__init__(job, world, wrapped)
        self._driver = self._accelerator.prepare_optimizer(job.optimizer, device_placement=False)

    def accumulate(self, *, last: bool) -> AbstractContextManager[None]:
        """Reduce gradients on the last micro-batch only."""
        if last:
            return super().accumulate(last=True)
        context: AbstractContextManager[None] = self._accelerator.no_sync(self._wrapped)
        return context

    def backward(self, loss: Tensor) -> None:
        """Add this loss's gradients."""
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


def forget() -> None:
    """Clear the singletons, so that the next run of this process starts clean."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()  # noqa: SLF001 - Accelerate has no public call for it

"""The engine of `deepspeed`: forward, backward and step are DeepSpeed's."""

from __future__ import annotations

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

    def __init__(
        self, job: EngineJob, world: World, stage: int, persistence_threshold: int
    ) -> None:
        config = _config(job, stage, persistence_threshold)
        self._deepspeed, *_ = deepspeed.initialize(
            model=job.module, optimizer=job.optimizer, config=config
        )
        super().__init__(job, world, self._deepspeed)
        self._stage = stage

    @contextmanager
    def accumulate(self, *, last: bool) -> Iterator[None]:
        """Tell DeepSpeed which micro-batch is the last, before its forward pass."""
        self._deepspeed.set_gradient_accumulation_boundary(last)
        yield

    def backward(self, loss: Tensor) -> None:
        """Add this loss's gradients, unscaled."""
        self._deepspeed.backward(loss, scale_wrt_gas=False)

    def step(self, *, learning_rate: float) -> StepOutcome:
        """Clip by the global norm, update, zero."""
        norm = float(self._clip())
        self._update(learning_rate)
        return StepOutcome(norm)

    def _update(self, learning_rate: float) -> None:
        set_learning_rate(self._deepspeed.optimizer.param_groups, learning_rate)
        self._deepspeed.step()

    def close(self) -> None:
        """Remove DeepSpeed's hooks from the module."""
        super().close()
        self._deepspeed.destroy()


def _config(job: EngineJob, stage: int, persistence_threshold: int) -> dict[str, Any]:
    trainable = sum(parameter.numel() for parameter in job.parameters.values())
    return {
        "train_micro_batch_size_per_gpu": 1,  # required; the loop decides what a micro-batch is
        "gradient_accumulation_steps": 1,  # so that nothing divides behind the loop's back
        "gradient_clipping": (job.max_grad_norm or 0.0) if stage else 0.0,
        "steps_per_print": 10**9,
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,  # lorafw's own tests say which
        "zero_optimization": {
            "stage": stage,
            "reduce_bucket_size": max(trainable, 1),  # its buffer is allocated whole
            "allgather_bucket_size": max(trainable, 1),
            "stage3_param_persistence_threshold": persistence_threshold,
            # Blocks of experts that DeepSpeed takes for leaves lose gradients where the block's own
            # input wants none; here every rank sends something, or nothing, through all experts.
            "leaf_module": {"classes": []},
        },
    }

"""What DeepSpeed is told: the user's own file, the trainer's options, and what lorafw decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorafw.contracts import EngineJob
from lorafw_deepspeed.user_config import UserConfig

if TYPE_CHECKING:
    from lorafw_deepspeed.trainer import DeepSpeedTrainer


def deepspeed_config(trainer: DeepSpeedTrainer, job: EngineJob) -> dict[str, Any]:
    """DeepSpeed's config for one job; the loop divides, accumulates and schedules."""
    own = UserConfig.read(trainer.config).rest if trainer.config else {}
    return merged(_if_not_said(job), own, _decided(trainer, job))


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping; where two say something of the same, blocks are merged and the later wins."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = result.get(key)
            both = isinstance(value, Mapping) and isinstance(before, Mapping)
            result[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def _if_not_said(job: EngineJob) -> dict[str, Any]:
    # Buffers of these sizes are allocated whole. DeepSpeed asks for an even one.
    trainable = sum(parameter.numel() for parameter in job.parameters.values())
    even = max(trainable + trainable % 2, 2)
    sizes = {"reduce_bucket_size": even, "allgather_bucket_size": even}
    return {"steps_per_print": 10**9, "zero_optimization": sizes}


def _decided(trainer: DeepSpeedTrainer, job: EngineJob) -> dict[str, Any]:
    stage = trainer.zero_stage
    zero: dict[str, Any] = {
        "stage": stage,
        "stage3_param_persistence_threshold": trainer.persistence_threshold,
        # Blocks of experts that DeepSpeed takes for leaves lose gradients where the block's own
        # input wants none; here every rank sends something, or nothing, through all experts.
        "leaf_module": {"classes": []},
    }
    on_cpu = {"device": "cpu", "pin_memory": trainer.pin_memory}
    if trainer.offload_optimizer:
        zero["offload_optimizer"] = on_cpu
    if trainer.offload_parameters:
        zero["offload_param"] = on_cpu
    return {
        "train_micro_batch_size_per_gpu": 1,  # required; the loop decides what a micro-batch is
        "gradient_accumulation_steps": 1,  # so that nothing divides behind the loop's back
        # In fp32, stage 0 clips and forgets the norm; its engine clips by itself.
        "gradient_clipping": (job.max_grad_norm or 0.0) if stage else 0.0,
        "zero_force_ds_cpu_optimizer": False,  # core's optimizer is the one, wherever it works
        "zero_allow_untested_optimizer": True,  # lorafw's own tests say which
        "zero_optimization": zero,
    }

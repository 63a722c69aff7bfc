"""Which keys of a DeepSpeed config lorafw decides, and which are options of the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ZERO = "zero_optimization"

OPTIONS: Mapping[str, str] = {
    f"{_ZERO}.stage": "zero_stage",
    f"{_ZERO}.stage3_param_persistence_threshold": "persistence_threshold",
    f"{_ZERO}.param_persistence_threshold": "persistence_threshold",
    f"{_ZERO}.offload_optimizer.device": "offload_optimizer",
    f"{_ZERO}.offload_param.device": "offload_parameters",
    f"{_ZERO}.offload_optimizer.pin_memory": "pin_memory",
    f"{_ZERO}.offload_param.pin_memory": "pin_memory",
}
"""The trainer's option that a key stands for."""

_DEVICES = {"cpu": True, "none": False}
TO_OPTION: Mapping[str, Mapping[Any, Any]] = {
    "offload_optimizer": _DEVICES,
    "offload_parameters": _DEVICES,
}
"""Values that are called otherwise in DeepSpeed, by option."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A key that lorafw decides.

    Attributes:
        key: dotted; what is under it is meant as well.
        instead: what to do about it.
        harmless: values that say the same as lorafw.
    """

    key: str
    instead: str
    harmless: tuple[Any, ...] = ()


def _remove(key: str, *options: str, harmless: tuple[Any, ...] = ()) -> Rule:
    return Rule(key, f"remove it, and set {' and '.join(options)}", harmless)


def _off(key: str, why: str) -> Rule:
    return Rule(key, f"{why}; remove it", harmless=(False, 0))


_DTYPE = "trained weights are fp32, and model.dtype is the base's"
_LOOP = "lorafw's loop goes another way"
PRECISIONS = ("fp16", "bf16", "amp", "torch_autocast")
"""Blocks that are left out whole; none of them may be enabled."""
_OPTIMIZER = "the optimizer is plan.optimizer, on the CPU too"

RULES = (
    _remove("optimizer", "plan.optimizer", "plan.optimizer_options"),
    _remove("scheduler", "plan.schedule", "plan.warmup_ratio"),
    _remove("train_batch_size", "plan.global_batch_size"),
    _remove("train_micro_batch_size_per_gpu", "plan.micro_batch_tokens"),
    _remove("gradient_accumulation_steps", "plan.global_batch_size", "plan.micro_batch_tokens"),
    _remove("gradient_clipping", "plan.max_grad_norm"),
    _remove("activation_checkpointing", "plan.activations"),
    Rule("managed_gradient_accumulation", f"{_LOOP}; remove it", (True,)),
    Rule("gradient_allreduce_op", "ranks are averaged; remove it", ("mean",)),
    Rule("zero_allow_untested_optimizer", f"{_OPTIMIZER}; remove it", (True,)),
    _off("zero_force_ds_cpu_optimizer", _OPTIMIZER),
    *(_off(f"{name}.enabled", _DTYPE) for name in PRECISIONS),
    *(
        Rule(f"data_types.{name}", f"{_DTYPE}; remove it", ("fp32", None))
        for name in ("grad_accum_dtype", "param_dtype", "buffer_dtype")
    ),
    *(
        _off(f"{name}.enabled", _LOOP)
        for name in ("autotuning", "data_efficiency", "expert_parallel", "hybrid_engine")
    ),
    Rule("pipeline", f"{_LOOP}; remove it"),
    Rule("sequence_parallel_size", f"{_LOOP}; remove it", (1,)),
    Rule("tensor_parallel.autotp_size", f"{_LOOP}; remove it", (0, 1)),
    _off("compile.deepcompile", _LOOP),
    Rule(f"{_ZERO}.stage", "make it 0, 1, 2 or 3", (0, 1, 2, 3)),
    *(
        Rule(f"{_ZERO}.{block}.device", "make it cpu or none", ("cpu", "none"))
        for block in ("offload_optimizer", "offload_param")
    ),
    Rule(f"{_ZERO}.offload_optimizer.ratio", f"{_OPTIMIZER}; remove it", (1.0,)),
    _off(f"{_ZERO}.offload_optimizer.super_offload", _OPTIMIZER),
    _remove(f"{_ZERO}.cpu_offload", "trainer.offload_optimizer", harmless=(False, None)),
    _remove(f"{_ZERO}.cpu_offload_param", "trainer.offload_parameters", harmless=(False, None)),
    _remove(f"{_ZERO}.cpu_offload_use_pin_memory", "trainer.pin_memory", harmless=(None,)),
    Rule(f"{_ZERO}.zenflow", f"{_OPTIMIZER}; remove it", (None,)),
    Rule(f"{_ZERO}.leaf_module", "blocks of experts are lorafw's concern; remove it"),
    Rule(f"{_ZERO}.compute_grad_norm", "the norm is reported; remove it", (True,)),
)
"""All of them. What is harmless is left out of what DeepSpeed gets."""

BLOCKS = (_ZERO, f"{_ZERO}.offload_optimizer", f"{_ZERO}.offload_param", *PRECISIONS)
"""Keys that hold a block, or nothing."""

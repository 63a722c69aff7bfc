"""The private parts of ZeRO that lorafw has to touch, all in this one file.

DeepSpeed creates AdamW's tensors at the first step, and stages 1 and 2 then link only those of
the first parameter group to their parameters (0.19.8). Creating them for every partition before
the first step makes both reading and loading right; a contract test with a loaded state guards it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from deepspeed.runtime.zero import parameter_offload
from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")


def materialise(zero: Any, *, step: float = 0.0) -> None:
    """Create AdamW's tensors for every flat partition, set the step counter, and link them."""
    for flat in _masters(zero):
        state = zero.optimizer.state[flat]
        for key in MOMENTS:
            state.setdefault(key, torch.zeros_like(flat))
        state["step"] = torch.tensor(step)
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):  # stages 1 and 2
        zero._hp_optimizer_states_linked = False  # noqa: SLF001
        zero._lazy_init_hp_params_optimizer_state()  # noqa: SLF001


def step_of(zero: Any) -> Tensor:
    """AdamW's step counter; one for all, since every partition steps together."""
    first = next(iter(_masters(zero)))
    return torch.as_tensor(zero.optimizer.state[first]["step"]).detach().cpu().clone()


def forget(module: nn.Module) -> None:
    """Let go of a module that no engine serves any more; stage 3 of 0.19.8 never does.

    It leaves the outermost module on its stack of running ones, and every module in the cache of
    a method. Through them all weights, and the process group, would live as long as Python does.
    """
    running = parameter_offload.FWD_MODULE_STACK
    running[:] = [other for other in running if other is not module]
    cached = vars(PartitionedParameterCoordinator)[
        "_PartitionedParameterCoordinator__params_to_release"
    ]
    inspect.getclosurevars(cached).nonlocals["func"].cache_clear()


def _masters(zero: Any) -> Iterable[Tensor]:
    """The flat fp32 partitions that AdamW updates."""
    for name in ("single_partition_of_fp32_groups", "fp32_partitioned_groups_flat"):
        if hasattr(zero, name):
            return list(getattr(zero, name))
    raise TypeError(f"unknown ZeRO optimizer {type(zero).__name__}")

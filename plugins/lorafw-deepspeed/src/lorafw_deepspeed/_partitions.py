"""The private parts of ZeRO that lorafw has to touch, all in this one file.

The optimizer works on flat pieces of parameters, and remembers tensors of their size (moments) and
single values (steps). Stages 1 and 2 link the former to parameters in the first step, and then only
those of the first parameter group (0.19.8), so they are linked again before they are read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from copy import copy
from typing import Any

import torch
from deepspeed.runtime.zero import parameter_offload
from deepspeed.runtime.zero.linear import zero3_linear_wrap
from deepspeed.runtime.zero.partition_parameters import Init
from deepspeed.runtime.zero.partitioned_param_coordinator import PartitionedParameterCoordinator
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

Memory = dict[str, Any]
"""What an optimizer remembers of one parameter, by key."""


def first_memory(optimizer: Optimizer) -> Memory:
    """What a new optimizer remembers of its first parameter: mostly nothing."""
    return dict(optimizer.state.get(optimizer.param_groups[0]["params"][0], {}))


def begin(zero: Any, optimizer: Optimizer, first: Memory) -> None:
    """Remember what a new optimizer does: tensors are filled with one number.

    DeepSpeed makes an Adagrad of its own out of core's, which knows one group; core's stays.
    """
    if zero.optimizer is not optimizer:
        zero.optimizer = optimizer
        if hasattr(zero, "_link_all_hp_params"):  # stages 1 and 2; it went by that one group
            zero._link_all_hp_params()  # noqa: SLF001
    for flat in masters(zero):
        optimizer.state.pop(flat, None)
        if first:
            optimizer.state[flat] = {key: _spread(flat, value) for key, value in first.items()}


def _spread(flat: Tensor, value: Any) -> Any:
    return torch.full_like(flat, float(value.flatten()[0])) if _is_cut(value) else copy(value)


def remember(zero: Any, cut: Iterable[str], single: Memory) -> None:
    """Make room for tensors of the size of each piece, and set single values."""
    for flat in masters(zero):
        zero.optimizer.state[flat] = {
            **{key: torch.zeros_like(flat) for key in cut},
            **{key: _placed(zero, flat, value) for key, value in single.items()},
        }
    _link(zero)


def _placed(zero: Any, flat: Tensor, value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    fused = zero.optimizer.param_groups[0].get("fused")
    return value.to(flat.device if fused else "cpu", copy=True)


def memory(zero: Any) -> tuple[list[str], Memory]:
    """Keys of what is cut into pieces, and single values; every piece has the same."""
    _link(zero)
    held = zero.optimizer.state.get(next(iter(masters(zero))), {})
    cut = [key for key, value in held.items() if _is_cut(value)]
    return cut, {key: value for key, value in held.items() if key not in cut}


def _is_cut(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _link(zero: Any) -> None:
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):  # stages 1 and 2
        zero._hp_optimizer_states_linked = False  # noqa: SLF001
        zero._lazy_init_hp_params_optimizer_state()  # noqa: SLF001


def forget(module: nn.Module) -> None:
    """Let go of a module that no engine serves any more; stage 3 of 0.19.8 never does.

    It leaves the outermost module on its stack of running ones, and every module in the cache of
    a method. Through them all weights, and the process group, would live as long as Python does.
    And it leaves its own linear in torch, which rounds otherwise.
    """
    running = parameter_offload.FWD_MODULE_STACK
    running[:] = [other for other in running if other is not module]
    forget_releases()
    if functional.linear is zero3_linear_wrap:
        functional.linear = Init.linear_bk


def forget_releases() -> None:
    """Empty the cache of what stage 3 may let go of; it knows modules and steps, but no traces."""
    cached = vars(PartitionedParameterCoordinator)[
        "_PartitionedParameterCoordinator__params_to_release"
    ]
    inspect.getclosurevars(cached).nonlocals["func"].cache_clear()


def masters(zero: Any) -> Iterable[Tensor]:
    """The flat fp32 pieces that the optimizer updates."""
    for name in ("single_partition_of_fp32_groups", "fp32_partitioned_groups_flat"):
        if hasattr(zero, name):
            return list(getattr(zero, name))
    raise TypeError(f"unknown ZeRO optimizer {type(zero).__name__}")

"""Forgetting a step in the middle of it, for stages 1 to 3: private parts of ZeRO in 0.19.8.

DeepSpeed can end a step only by taking it. What a backward pass leaves behind lies in parameters,
in buckets on their way to other ranks, in partitions, in flat pieces on the CPU and in counters;
after one that raised, stage 3 also holds gathered parameters and half a trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.zero import parameter_offload
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
from deepspeed.runtime.zero.stage_1_and_2 import INITIAL_MICRO_STEP_ID
from torch import nn

from lorafw_deepspeed._partitions import forget_releases, masters


def discard(zero: Any, module: nn.Module) -> None:
    """Bring a ZeRO optimizer to where its last step left it; no collective.

    Args:
        zero: the optimizer of stage 1, 2 or 3.
        module: the outermost module, which it serves.
    """
    if not get_accelerator().is_synchronized_device():
        get_accelerator().synchronize()  # buckets may still be reduced on a stream of their own
    apart = hasattr(zero, "parameter_offload")
    if apart:
        _leave_modules(module)
        _give_parameters_back(zero, module)
    zero.zero_grad(set_to_none=True)
    _end_backward(zero)
    _empty_buckets(zero)
    (_forget_partitions if apart else _forget_averages)(zero)
    _forget_offloaded(zero)


def _end_backward(zero: Any) -> None:
    """A backward pass that raised never left."""
    state = zero._backward_hook_state  # noqa: SLF001
    state.reset_for_new_step()
    state.backward_active_depth = state.remaining_grad_acc_hooks = 0


def _empty_buckets(zero: Any) -> None:
    """Nothing waits to be reduced, and nothing has been."""
    for bucket in zero.ipg_buckets.values():
        (bucket.clear_params if hasattr(bucket, "clear_params") else bucket.clear)()
    reduced = zero.params_already_reduced
    for key in reduced if isinstance(reduced, dict) else range(len(reduced)):
        reduced[key] = False


def _forget_averages(zero: Any) -> None:
    """Stages 1 and 2."""
    zero.extra_large_param_to_reduce.clear()
    zero.previous_reduced_grads.clear()
    zero.averaged_gradients.clear()
    zero.all_grad_tensors.clear()
    zero._release_ipg_buffers()  # noqa: SLF001
    zero.micro_step_id = INITIAL_MICRO_STEP_ID


def _forget_partitions(zero: Any) -> None:
    """Stage 3; `zero_grad` has set its counter."""
    zero.averaged_gradients.clear()
    zero.grad_partitions_flat_buffer.zero_()
    zero._offload_boundary_param_ids.clear()  # noqa: SLF001


def _forget_offloaded(zero: Any) -> None:
    """Gradients that already lie beside an optimizer on the CPU, and their norms."""
    if not hasattr(zero, "norm_for_param_grads"):
        return
    zero.reset_cpu_buffers()
    for flat in masters(zero):
        assert flat.grad is not None, "an offloaded piece keeps a place for its gradient"
        flat.grad.zero_()
    if hasattr(zero, "accumulated_grads_in_cpu"):  # stages 1 and 2
        zero.accumulated_grads_in_cpu.clear()
        zero._offload_accumulated_param_ids.clear()  # noqa: SLF001


def _leave_modules(module: nn.Module) -> None:
    """Stage 3 notes which modules run, and looks out for foreign parameters while they do."""
    running = parameter_offload.FWD_MODULE_STACK
    del running[running.index(module) + 1 :]
    for part in module.modules():
        own: Any = part._parameters  # noqa: SLF001
        own._in_forward = False  # noqa: SLF001


def _give_parameters_back(zero: Any, module: nn.Module) -> None:
    """Take apart what is gathered, or was about to be, and forget the trace of the pass."""
    coordinator = zero.parameter_offload.get_param_coordinator()
    under_way: Any = module.ds_inflight_param_registry
    parameters: Iterable[Any] = module.parameters()
    for parameter in parameters:
        on_its_way = parameter in under_way
        if parameter.ds_status == ZeroParamStatus.INFLIGHT and not on_its_way:
            parameter.ds_status = ZeroParamStatus.NOT_AVAILABLE  # there was no memory to gather it
    if not coordinator.is_invalid_trace():
        coordinator._invalidate_trace()  # noqa: SLF001
    forget_releases()
    coordinator.release_backward_leftovers()
    zero.parameter_offload.partition_all_parameters()

"""What DistributedDataParallel does of its own accord, and must not."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel


def tame(wrapped: nn.Module) -> None:
    """Make every step of a wrapper like any other; collective, nothing for another module.

    Buffers are frozen, and a rank that ran out of memory tries a forward pass again alone, so none
    are broadcast. And gradients have the same place in the same bucket from the first step on:
    torch would sort them anew after the first backward pass, by when they came. On three ranks or
    more, the order in which an all-reduce adds up a number's parts depends on its place, so that
    the first step after a resume would be rounded otherwise than in a run that went on.
    """
    if isinstance(wrapped, DistributedDataParallel):
        wrapped.broadcast_buffers = False
        wrapped.reducer._push_all_rebuilt_params()  # noqa: SLF001 - as if all had come, in order
        wrapped.reducer._rebuild_buckets()  # noqa: SLF001 - it does so once


def reduces(wrapped: nn.Module) -> bool:
    """Whether the next backward pass speaks to other ranks; not so within `no_sync`."""
    return isinstance(wrapped, DistributedDataParallel) and wrapped.require_backward_grad_sync


def forget_reduction(wrapped: nn.Module) -> None:
    """Let a wrapper run again after a backward pass that broke off while it reduced; collective."""
    if isinstance(wrapped, DistributedDataParallel):
        wrapped.reducer._reset_state()  # noqa: SLF001 - there is no public way
        tame(wrapped)  # the buckets were forgotten as well

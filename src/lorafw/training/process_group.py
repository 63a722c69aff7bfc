"""Joining the other processes of a job, whoever launched them."""

from __future__ import annotations

import functools
import gc
import itertools
import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from lorafw.contracts.engine import World
from lorafw.errors import TrainingError
from lorafw.training.launching.environment import is_worker
from lorafw.training.launching.interface import choose_interface

_groups = itertools.count()


def local_device() -> torch.device:
    """This process's accelerator, chosen by LOCAL_RANK, or the CPU.

    Raises:
        TrainingError: this machine has fewer accelerators than ranks.
    """
    if torch.cuda.is_available():
        index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if index >= count and (count > 1 or is_worker()):
            raise TrainingError(
                f"this machine shows {count} GPUs, and rank {index} on it has none.",
                mend=f"Start {count} ranks on it.",
            )
        index %= count  # another launcher may show each rank its own alone
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return torch.device("cpu")


def join(*, timeout_minutes: float, alone: bool = False) -> World:
    """Join the process group that RANK, WORLD_SIZE and MASTER_ADDR describe.

    Args:
        timeout_minutes: how long a collective waits for the other ranks.
        alone: make a group of one when no launcher set those variables; without it a lone
            process gets no group at all.
    """
    device = local_device()
    backend = "nccl" if device.type == "cuda" else "gloo"
    if not dist.is_initialized():
        if "RANK" in os.environ:
            _join(backend, timedelta(minutes=timeout_minutes))
        elif alone:
            store = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
    if not dist.is_initialized():
        return World(0, 1, device)
    return World(dist.get_rank(), dist.get_world_size(), device)


def _join(backend: str, timeout: timedelta) -> None:
    """Every group of this process speaks under a prefix of its own: addresses must not be stale."""
    _import_what_would_keep_the_group()
    choose_interface()
    store, rank, world_size = _meeting_place(timeout)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # the store outlives attempts, too
    prefixed = PrefixStore(f"lorafw/{attempt}/{next(_groups)}", store)
    dist.init_process_group(
        backend, store=prefixed, rank=rank, world_size=world_size, timeout=timeout
    )


def _import_what_would_keep_the_group() -> None:
    """Functions of torch.distributed.nn take the group they are born under as default argument.

    DistributedDataParallel imports them, and such a group would outlive `leave`.
    """
    import torch.distributed.nn  # noqa: F401


@functools.cache
def _meeting_place(timeout: timedelta) -> Any:
    """The launcher's key-value store, which outlives any group, with this rank and their number."""
    return next(iter(rendezvous("env://", timeout=timeout)))


def leave() -> None:
    """Leave the process group, if there is one, and end its threads.

    A thread of gloo that drops its last tensor while the interpreter shuts down aborts the
    process (pytorch issue 190489), so the group must be gone before. Wrappers that hold it are
    in reference cycles.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
    gc.collect()

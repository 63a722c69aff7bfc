"""Starting DeepSpeed: quietly, and without compiling anything."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lorafw.contracts import World
from lorafw.training.process_group import join, leave


def start(*, timeout_minutes: float, config: Path | None = None) -> World:
    """Join the process group and let DeepSpeed adopt it.

    Args:
        timeout_minutes: how long a rank waits for the others.
        config: the user's own config, which DeepSpeed looks at first.

    Raises:
        ConfigError: DeepSpeed does not know what is in that config.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # DeepSpeed 0.19 calls collectives by names that torch 2.13 is about to rename.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.", FutureWarning)
    deepspeed = _imported()  # before there is a group: its default arguments would keep the group
    if config:
        _check(config)
    world = join(timeout_minutes=timeout_minutes, alone=True)
    os.environ.setdefault("LOCAL_RANK", str(world.device.index or 0))  # read at every turn
    with _quiet():
        backend = torch.distributed.get_backend()
        deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    return world


def stop() -> None:
    """Leave the process group, and let DeepSpeed forget the groups it derived from it."""
    import deepspeed

    if deepspeed.comm.is_initialized():
        deepspeed.comm.destroy_process_group()
    leave()
    if "RANK" not in os.environ:  # no launcher: it is ours, and would mislead the next library
        os.environ.pop("LOCAL_RANK", None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """DeepSpeed tells what it found on this machine, and warns of what it does not need."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _imported() -> Any:
    with _quiet():
        import deepspeed
    _forgo_shared_memory_operator(deepspeed)
    return deepspeed


def _check(config: Path) -> None:
    from lorafw_deepspeed._unknown_keys import check

    with _quiet():
        check(config)


def _forgo_shared_memory_operator(deepspeed: Any) -> None:
    """Tell DeepSpeed that its CPU all-reduce operator does not fit this machine.

    It would be compiled at first start, which takes a C++ compiler and half a minute, and only
    DeepSpeed's inference calls it.
    """
    table = deepspeed.ops.__compatible_ops__
    table["deepspeed_shm_comm"] = False

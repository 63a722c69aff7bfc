"""How many threads this process computes with."""

from __future__ import annotations

import torch

from lorafw.training.launching.cores import threads_of_rank


def use_cores() -> None:
    """Compute on the cores that this process has, unless its environment says on how many."""
    threads = threads_of_rank()
    if threads is not None:
        torch.set_num_threads(threads)


def threads_in_use() -> int:
    """How many threads compute."""
    return torch.get_num_threads()

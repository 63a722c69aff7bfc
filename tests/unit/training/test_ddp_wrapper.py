"""A wrapper's buckets are the same in every step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lorafw.training.ddp_wrapper import forget_reduction, tame
from lorafw.training.process_group import join, leave


@pytest.fixture
def wrapper() -> Iterator[DistributedDataParallel]:
    join(timeout_minutes=1, alone=True)
    yield DistributedDataParallel(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    leave()


def sorts_anew(wrapper: DistributedDataParallel) -> bool:
    """Whether the first backward pass changes the buckets of the second step."""
    wrapper(torch.ones(1, 3)).sum().backward()
    return bool(wrapper.reducer._rebuild_buckets())


def test_torch_sorts_buckets_anew_after_the_first_step(wrapper: DistributedDataParallel) -> None:
    assert sorts_anew(wrapper)


def test_a_tamed_wrapper_keeps_its_buckets(wrapper: DistributedDataParallel) -> None:
    tame(wrapper)
    assert not sorts_anew(wrapper)
    assert not wrapper.broadcast_buffers


def test_it_keeps_them_after_a_reduction_that_broke_off(wrapper: DistributedDataParallel) -> None:
    tame(wrapper)
    forget_reduction(wrapper)
    assert not sorts_anew(wrapper)


def test_other_modules_are_left_alone() -> None:
    module = nn.Linear(2, 2)
    tame(module)
    forget_reduction(module)

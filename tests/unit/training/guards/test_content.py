"""The content of a tensor is a number that any change of its bits changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lorafw.training.guards.content import content_of

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.bool]


def sample(numel: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(1, numel + 1).remainder(2 if dtype is torch.bool else 100).to(dtype)


@given(st.sampled_from(DTYPES), st.integers(1, 9000), st.data())
def test_one_other_number_changes_it(dtype: torch.dtype, numel: int, data: st.DataObject) -> None:
    tensor = sample(numel, dtype)
    before = content_of(tensor)
    assert content_of(tensor.clone()) == before
    index = data.draw(st.integers(0, numel - 1))
    tensor[index] = not tensor[index] if dtype is torch.bool else tensor[index] + 1
    assert content_of(tensor) != before


def test_a_zero_of_another_sign_is_another_content() -> None:
    assert content_of(torch.tensor([0.0, 1.0])) != content_of(torch.tensor([-0.0, 1.0]))


def test_exchanged_blocks_are_another_content() -> None:
    tensor = torch.randn(4 * 8192)
    swapped = torch.cat([tensor[8192:], tensor[:8192]])
    assert content_of(tensor) != content_of(swapped)


def test_views_and_empty_tensors_have_a_content() -> None:
    tensor = torch.randn(7, 5)
    assert content_of(tensor.T) == content_of(tensor.T.contiguous())
    assert content_of(tensor[1:, 1:]) == content_of(tensor[1:, 1:].clone())
    assert content_of(torch.empty(0)) == 0


def test_of_a_partitioned_parameter_it_is_that_of_the_part() -> None:
    part, emptied = torch.randn(12), nn.Parameter(torch.empty(0))
    emptied.ds_tensor = part  # type: ignore[attr-defined]
    assert content_of(emptied) == content_of(part)
    sharded = SimpleNamespace(to_local=lambda: part)
    assert content_of(sharded) == content_of(part)  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_it_is_the_same_on_every_device() -> None:
    tensor = torch.randn(100_001)
    assert content_of(tensor.cuda()).cpu() == content_of(tensor)

from __future__ import annotations

import pytest
import torch
from torch import nn

from lorafw.verification._rounding import rounded_otherwise


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_are_off_by_a_unit_in_the_last_place(dtype: torch.dtype) -> None:
    layer, x = nn.Linear(16, 16).to(dtype), torch.randn(4, 16).to(dtype)
    plain = layer(x)
    with rounded_otherwise(layer, seed=0):
        shaken = layer(x)
    off = ((shaken - plain) / plain).abs().float()
    assert 0 < off.max() <= 2 * torch.finfo(dtype).eps
    assert torch.equal(layer(x), plain)


def test_gradients_are_off_too_and_directions_follow_from_the_seed() -> None:
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)), torch.randn(4, 8)

    def gradient(seed: int | None) -> torch.Tensor:
        model.zero_grad()
        if seed is None:
            model(x).sum().backward()
        else:
            with rounded_otherwise(model, seed):
                model(x).sum().backward()
        found = model[0].weight.grad
        assert isinstance(found, torch.Tensor)
        return found.clone()

    assert not torch.equal(gradient(0), gradient(None))
    assert torch.equal(gradient(0), gradient(0))
    assert not torch.equal(gradient(0), gradient(1))

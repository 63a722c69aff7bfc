"""The elementwise formulas beside PyTorch's own operators and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lorafw_custom.fast.formulas import (
    gate,
    gate_backward,
    normalise,
    normalise_backward,
    rotate,
)
from lorafw_custom.fast.running import compiled, in_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

EPS = 1e-5
WAYS = [pytest.param(in_blocks, id="in-blocks"), pytest.param(compiled, marks=pytest.mark.slow)]
"""Compiling takes a second and more for each formula."""


def drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def columns(*shape: int, **options: Any) -> Tensor:
    """Rows that are a part of wider ones."""
    return drawn(*shape[:-1], 2 * shape[-1] + 3, **options)[..., 1 : shape[-1] + 1]


def near(found: Tensor, wanted: Tensor) -> None:
    """As near as one rounding to its own dtype allows."""
    steps = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-7}
    close = steps[found.dtype]
    torch.testing.assert_close(found.double(), wanted.double(), rtol=close, atol=close)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 6), (200, 6), (130, 3, 6)], ids=str)
def test_the_norm_is_pytorchs(way: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x, weight = columns(*shape, dtype=dtype), drawn(6, dtype=dtype, seed=1)
    out, rstd = torch.empty_like(x), x.new_empty(*shape[:-1], 1, dtype=torch.float64)
    way(normalise, out, rstd, x, weight=weight, eps=EPS)
    wide = x.double()
    near(out, F.rms_norm(wide, (6,), weight.double(), EPS))
    near(rstd, (wide.square().mean(-1, keepdim=True) + EPS).rsqrt())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(1, 6), (200, 6), (130, 3, 6)], ids=str)
def test_the_norms_gradient_is_that_of_autograd(way: Any, shape: tuple[int, ...]) -> None:
    x, weight, d_out, beside = (columns(*shape, seed=seed) for seed in range(4))
    weight = weight.flatten(0, -2)[0]
    normed = F.rms_norm(x.requires_grad_(), (6,), weight, EPS)
    (wanted,) = torch.autograd.grad(normed, x, d_out)
    x = x.detach()
    out, rstd = torch.empty_like(x), x.new_empty(*shape[:-1], 1)
    normalise(out, rstd, x, weight=weight, eps=EPS)
    d_x, again = torch.empty_like(x), torch.empty_like(x)
    way(normalise_backward, d_x, again, beside, d_out, x, rstd, weight=weight)
    near(d_x, beside + wanted)
    near(again, normed.detach())


@pytest.mark.parametrize("way", WAYS)
def test_rotation_is_a_product_of_complex_numbers(way: Any) -> None:
    angles = drawn(130, 4)
    heads = drawn(130, 5, 11, seed=1)  # the last three channels are not turned
    left, right = heads[..., :4], heads[..., 4:8]
    numbers = torch.complex(left, right) * torch.polar(torch.ones_like(angles), angles)[:, None]
    kept = heads.clone()
    way(rotate, left, right, angles.cos(), angles.sin())
    near(torch.cat([left, right], -1), torch.cat([numbers.real, numbers.imag], -1))
    way(rotate, left, right, angles.cos(), -angles.sin())
    near(heads, kept)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_gates_and_their_gradients_are_those_of_autograd(way: Any, dtype: torch.dtype) -> None:
    gates, ups, d_out = (columns(130, 7, dtype=dtype, seed=seed) for seed in range(3))
    exact = [each.double().clone().requires_grad_() for each in (gates, ups)]
    product = F.silu(exact[0]) * exact[1]
    wanted = torch.autograd.grad(product, exact, d_out.double())
    out = torch.empty_like(gates)
    way(gate, out, gates, ups)
    near(out, product.detach())
    way(gate_backward, gates, ups, d_out)
    for found, right in zip((gates, ups, d_out), (*wanted, product.detach()), strict=True):
        near(found, right)


def test_gates_far_out_give_no_wrong_numbers() -> None:
    gates = torch.tensor([[-1e4, -90.0, 0.0, 90.0, 1e4]], dtype=torch.bfloat16)
    ups, d_out = torch.ones_like(gates), torch.ones_like(gates)
    gate_backward(gates, ups, d_out)
    expected = torch.tensor([[0.0, 0.0, 0.5, 1.0, 1.0]])
    torch.testing.assert_close(gates.float(), expected, rtol=0, atol=1e-6)
    assert ups.isfinite().all()
    assert d_out.isfinite().all()


@pytest.mark.parametrize("formula", [normalise, gate, rotate], ids=["normalise", "gate", "rotate"])
def test_bf16_is_rounded_once(formula: Callable[..., None]) -> None:
    """All but every number is what fp64 arithmetic gives, rounded; none is a step of bf16 off."""
    rows = [drawn(500, 3, 8, dtype=torch.bfloat16, seed=seed) for seed in range(2)]
    exact = [each.double() for each in rows]
    for given in (rows, exact):
        wide = torch.promote_types(given[0].dtype, torch.float32)
        weight = drawn(8, dtype=torch.bfloat16, seed=3).to(given[0].dtype)
        angles = drawn(500, 8, dtype=torch.float32).to(wide)
        if formula is normalise:
            formula(given[0], angles.new_empty(500, 3, 1), given[1], weight=weight, eps=EPS)
        elif formula is gate:
            formula(given[0], given[1], given[1].clone())
        else:
            formula(*given, angles.cos(), angles.sin())
    wanted = exact[0].bfloat16()
    assert (rows[0] == wanted).double().mean() > 0.995
    torch.testing.assert_close(rows[0], wanted, rtol=2**-7, atol=1e-6)

"""The LoRA linear layer against plain products in fp64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lorafw_custom._linear import LoRALinear


def layer(
    in_features: int = 6, out_features: int = 5, *, bias: bool = False, dropout: float = 0.0
) -> LoRALinear:
    """An fp64 layer whose update is not zero."""
    torch.manual_seed(0)
    linear = nn.Linear(in_features, out_features, bias=bias)
    made = LoRALinear(linear, rank=3, scaling=0.7, dropout=dropout)
    nn.init.normal_(made.lora_B)
    return made.double()


def plain(made: LoRALinear, x: Tensor) -> Tensor:
    low = F.linear(x, made.lora_A.to(x.dtype))
    update = F.linear(low, made.lora_B.to(x.dtype)) * made.scaling
    return F.linear(x, made.weight, made.bias) + update


def gradients(out: Tensor, made: LoRALinear, x: Tensor) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view(out.shape)
    return torch.autograd.grad(out, (x, made.lora_A, made.lora_B), weights)


@settings(max_examples=30, deadline=None)
@given(
    leading=st.lists(st.integers(0, 5), max_size=3),
    in_features=st.integers(1, 9),
    out_features=st.integers(1, 9),
    bias=st.booleans(),
)
def test_equals_the_plain_products_for_all_shapes(
    leading: list[int], in_features: int, out_features: int, bias: bool
) -> None:
    made = layer(in_features, out_features, bias=bias)
    x = torch.randn(*leading, in_features, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(made(x), plain(made, x))
    torch.testing.assert_close(gradients(made(x), made, x), gradients(plain(made, x), made, x))


def test_passes_the_gradient_check() -> None:
    made, x = layer(bias=True), torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        out = torch.func.functional_call(made, {"lora_A": a, "lora_B": b}, (x,))
        assert isinstance(out, Tensor)
        return out

    assert torch.autograd.gradcheck(function, (x, made.lora_A, made.lora_B))


def test_is_as_near_to_fp64_as_plain_products_in_bf16() -> None:
    torch.manual_seed(0)
    made = LoRALinear(nn.Linear(96, 160, bias=False).bfloat16(), rank=8, scaling=2.0)
    nn.init.normal_(made.lora_B, std=0.1)
    x = torch.randn(300, 96).bfloat16().requires_grad_()
    low = [made(x), *gradients(made(x), made, x)]
    usual = [plain(made, x), *gradients(plain(made, x), made, x)]
    assert [t.dtype for t in low] == [torch.bfloat16] * 2 + [torch.float32] * 2
    made, x = made.double(), x.detach().double().requires_grad_()
    exact = [plain(made, x), *gradients(plain(made, x), made, x)]
    for ours, theirs, true in zip(low, usual, exact, strict=True):
        assert (ours - true).norm() < 1.1 * (theirs - true).norm()


def test_takes_the_parameters_over_under_their_names() -> None:
    linear = nn.Linear(6, 5)
    made = LoRALinear(linear, rank=3, scaling=1.0)
    assert made.weight is linear.weight
    assert made.bias is linear.bias
    shapes = {name: (tuple(p.shape), p.requires_grad) for name, p in made.named_parameters()}
    assert shapes == {
        "weight": ((5, 6), False),
        "bias": ((5,), False),
        "lora_A": ((3, 6), True),
        "lora_B": ((5, 3), True),
    }


def test_factors_are_fp32_on_a_low_precision_base() -> None:
    made = LoRALinear(nn.Linear(6, 5).bfloat16(), rank=3, scaling=1.0)
    assert made.weight.dtype == torch.bfloat16
    assert made.lora_A.dtype == made.lora_B.dtype == torch.float32


def test_a_fresh_layer_changes_nothing() -> None:
    linear, x = nn.Linear(6, 5), torch.randn(4, 6)
    before = linear(x)
    made = LoRALinear(linear, rank=3, scaling=2.0)
    assert torch.equal(made(x), before)
    assert made.lora_A.abs().max() <= 1 / math.sqrt(6)
    assert made.lora_A.any()


def test_disabled_is_the_frozen_layer() -> None:
    made, x = layer(bias=True), torch.randn(4, 6, dtype=torch.float64)
    made.enabled = False
    assert torch.equal(made(x), F.linear(x, made.weight, made.bias))


def test_dropout_acts_in_training_only() -> None:
    made, x = layer(dropout=0.5), torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    frozen = F.linear(x, made.weight)
    torch.manual_seed(1)
    out = made(x)
    torch.manual_seed(1)
    update = F.dropout(x, 0.5) @ made.lora_A.t() @ made.lora_B.t() * made.scaling
    torch.testing.assert_close(out, frozen + update)
    torch.testing.assert_close(made.eval()(x), plain(made, x))


def test_saves_the_input_itself_once() -> None:
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made(x)
    assert [t.data_ptr() for t in saved].count(x.data_ptr()) == 1
    assert sum(t.numel() for t in saved if not isinstance(t, nn.Parameter)) == 4 * (6 + 3)


def test_skips_the_gradient_nobody_wants() -> None:
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64)
    made.weight.data = torch.full_like(made.weight, math.nan)
    torch.autograd.backward(made(x).sum())
    assert made.lora_A.grad is not None
    assert made.lora_A.grad.isfinite().all()
    assert x.grad is None


def test_works_while_parameters_come_and_go() -> None:
    """Sharded training empties a parameter after its use and fills it again before the next."""
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    expected = gradients(plain(made, x), made, x)
    full = {name: p.data for name, p in made.named_parameters()}
    out = made(x)
    for parameter in made.parameters():
        parameter.data = torch.empty(0, dtype=torch.float64)
    for name, parameter in made.named_parameters():
        parameter.data = full[name].clone()
    torch.testing.assert_close(gradients(out, made, x), expected)


def test_works_under_checkpointing() -> None:
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    out = checkpoint(made, x, use_reentrant=False)
    torch.testing.assert_close(gradients(out, made, x), gradients(plain(made, x), made, x))


def test_works_without_a_graph() -> None:
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64)
    with torch.no_grad():
        out = made(x)
    assert not out.requires_grad
    torch.testing.assert_close(out, plain(made, x))


def test_autocast_decides_the_dtype() -> None:
    made, x = layer().float(), torch.randn(4, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = made(x)
        expected = plain(made, x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected, rtol=0.02, atol=0.02)
    assert all(g.dtype == torch.float32 for g in gradients(out, made, x))


def test_has_no_second_derivative() -> None:
    made, x = layer(), torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(made(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.autograd.backward(gradient.sum())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_merged_weight_is_rounded_once(dtype: torch.dtype) -> None:
    made = layer()
    made.weight.data = made.weight.data.to(dtype)
    merged = made.merged_weight()
    exact = made.weight.double() + made.scaling * made.lora_B @ made.lora_A
    assert merged.dtype == dtype
    torch.testing.assert_close(merged, exact.detach().to(dtype))


def test_refuses_what_it_cannot_adapt() -> None:
    linear = nn.Linear(6, 5)
    with pytest.raises(ValueError, match="rank"):
        LoRALinear(linear, rank=0, scaling=1.0)
    linear.weight = nn.Parameter(torch.zeros(5, 6, dtype=torch.int8), requires_grad=False)
    with pytest.raises(TypeError, match="int8"):
        LoRALinear(linear, rank=3, scaling=1.0)

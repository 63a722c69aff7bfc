"""Linears side by side compute what each would alone, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lorafw_custom._linear import LoRALinear
from lorafw_custom.fast.projection import Projection

WIDTH, TOKENS = 6, 5


def linears(adapted: str, *, bias: str = "", outs: tuple[int, ...] = (4, 3, 3)) -> list[Any]:
    """fp64 linears; `adapted` and `bias` have an x for each that is or has one."""
    torch.manual_seed(0)
    made: list[Any] = []
    for index, out in enumerate(outs):
        linear = nn.Linear(WIDTH, out, bias=bias[index : index + 1] == "x").double()
        linear.requires_grad_(requires_grad=False)
        if adapted[index] == "x":
            layer = LoRALinear(linear, rank=1 + index, scaling=1.5 - index).double()
            nn.init.normal_(layer.lora_B)
            made.append(layer)
        else:
            made.append(linear)
    return made


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def each_alone(layers: list[Any], x: Tensor) -> Tensor:
    """By ordinary operators: `x W^T + bias + scaling (x A^T) B^T`, side by side."""
    outs = []
    for layer in layers:
        out = x @ layer.weight.t()
        if layer.bias is not None:
            out = out + layer.bias
        if isinstance(layer, LoRALinear):
            a, b = layer.factors()
            out = out + layer.scaling * (x @ a.t()) @ b.t()
        outs.append(out)
    return torch.cat(outs, dim=1)


def parameters(layers: list[Any]) -> list[nn.Parameter]:
    adapted = [layer for layer in layers if isinstance(layer, LoRALinear)]
    return [p for layer in adapted for p in (layer.lora_A, layer.lora_B)]


KINDS = ["xxx", "xoo", "oxo", "xox", "ooo"]
BIASES = ["", "xxx", "xxo"]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("adapted", KINDS)
def test_outputs_are_those_of_each_alone(adapted: str, bias: str) -> None:
    layers, x = linears(adapted, bias=bias), drawn(TOKENS, WIDTH)
    wanted = each_alone(layers, x).detach()
    projection = Projection(layers)
    with torch.no_grad():
        factors = projection.cast(projection.live(), x.dtype)
        out, low = projection.forward(x, factors)
        residual = drawn(TOKENS, 10, seed=1)
        beside, _ = projection.forward(x, factors, residual=residual)
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(beside, wanted + residual)
    downs = [layer.lora_A.detach() for layer in layers if isinstance(layer, LoRALinear)]
    torch.testing.assert_close(low, x @ torch.cat([x.new_empty(0, WIDTH), *downs]).t())


@pytest.mark.parametrize("adapted", KINDS)
def test_gradients_are_those_of_autograd(adapted: str) -> None:
    layers, d_out = linears(adapted), drawn(TOKENS, 10, seed=1)
    x = drawn(TOKENS, WIDTH).requires_grad_()
    wanted = torch.autograd.grad(each_alone(layers, x), [x, *parameters(layers)], d_out)
    projection = Projection(layers)
    with torch.no_grad():
        live, x = projection.live(), x.detach()
        factors = projection.cast(live, x.dtype)
        _, low = projection.forward(x, factors)
        d_x, d_low = projection.backward(d_out, factors)
        grads = projection.factor_gradients(live, x, low, d_low, d_out)
        alone = projection.d_low(d_out, factors)
    torch.testing.assert_close([d_x, *grads], list(wanted))
    torch.testing.assert_close(alone, d_low)
    assert [grad.shape for grad in grads] == [p.shape for p in parameters(layers)]


def test_a_start_that_is_subtracted_is_part_of_the_factors() -> None:
    layers, x, d_out = linears("xox"), drawn(TOKENS, WIDTH), drawn(TOKENS, 10, seed=1)
    for layer in (layers[0], layers[2]):
        layer.start = tuple(p.detach() * 0.7 for p in (layer.lora_A, layer.lora_B))
    wanted = torch.autograd.grad(each_alone(layers, x), parameters(layers), d_out)
    projection = Projection(layers)
    live = projection.live()
    with torch.no_grad():
        factors = projection.cast(live, x.dtype)
        out, low = projection.forward(x, factors)
        grads = projection.factor_gradients(live, x, low, projection.d_low(d_out, factors), d_out)
    torch.testing.assert_close(out, each_alone(layers, x).detach())
    assert [len(a) for a in live[::2]] == [2, 6]
    found = torch.autograd.grad(live, parameters(layers), grads)
    torch.testing.assert_close(found, wanted)


def test_factors_of_fp32_beside_weights_of_bf16_get_their_gradients_in_fp32() -> None:
    layers = [each.bfloat16() for each in linears("xx", outs=(4, 3))]
    for layer in layers:
        layer.lora_A.data, layer.lora_B.data = layer.lora_A.float(), layer.lora_B.float()
    x, d_out = drawn(TOKENS, WIDTH).bfloat16(), drawn(TOKENS, 7).bfloat16()
    projection = Projection(layers)
    with torch.no_grad():
        live = projection.live()
        factors = projection.cast(live, x.dtype)
        assert factors is not None
        assert {factors.down.dtype, factors.up.dtype} == {torch.bfloat16}
        out, low = projection.forward(x, factors)
        d_low = projection.d_low(d_out, factors)
        grads = projection.factor_gradients(live, x, low, d_low, d_out)
    assert out.dtype == torch.bfloat16
    assert {grad.dtype for grad in grads} == {torch.float32}


def test_weights_lie_together_and_are_still_the_layers_own() -> None:
    layers = linears("xox")
    kept = [(layer.weight, layer.weight.detach().clone()) for layer in layers]
    projection = Projection(layers)
    assert projection.whole()
    for layer, (parameter, value) in zip(layers, kept, strict=True):
        assert layer.weight is parameter
        assert parameter.is_contiguous()
        assert torch.equal(parameter, value)
    assert torch.equal(projection.weight, torch.cat([value for _, value in kept]))
    layers[1].weight.data.fill_(2)
    assert (projection.weight[4:7] == 2).all()


def test_laid_a_second_time_they_stay_where_they_are() -> None:
    layers = linears("xox")
    Projection(layers)
    places = [layer.weight.data_ptr() for layer in layers]
    assert Projection(layers).whole()
    assert [layer.weight.data_ptr() for layer in layers] == places


@pytest.mark.parametrize("how", ["moved", "emptied", "turned"])
def test_weights_that_lie_elsewhere_are_noticed(how: str) -> None:
    layers = linears("xxx", outs=(6, 6, 6))
    projection = Projection(layers)
    for layer in layers if how == "emptied" else layers[1:2]:
        weight = layer.weight
        whole = weight.detach().clone()
        weight.data = {"moved": whole, "emptied": whole.new_empty(0), "turned": whole.t()}[how]
    assert not projection.whole()


@pytest.mark.parametrize("count", [1, 3])
def test_weights_that_are_shared_out_are_noticed(count: int) -> None:
    """As ZeRO-3 does it: a parameter holds nothing until it is gathered."""
    layers = linears("xxx"[:count], outs=(4, 3, 3)[:count])
    projection = Projection(layers)
    for layer in layers:
        layer.weight.data = torch.empty(0, dtype=torch.float64)
    assert not projection.whole()

"""Each half of a layer, in fp64, beside the same layer written with ordinary operators."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorafw_custom._linear import LoRALinear
from lorafw_custom.fast.attention_half import AttentionHalf
from lorafw_custom.fast.geometry import Geometry
from lorafw_custom.fast.mlp_half import MlpHalf
from lorafw_custom.fast.normed import Norm, NormedProjection
from lorafw_custom.fast.projection import Projection
from lorafw_custom.fast.running import Runner

WIDTH, HEADS, KV_HEADS, HEAD_DIM, EPS, SCALE = 6, 4, 2, 6, 1e-5, 0.3
EDGES = [0, 1, 70, 75]


def linear(wide: int, out: int, *, seed: int, bias: bool = False) -> LoRALinear:
    torch.manual_seed(seed)
    plain = nn.Linear(wide, out, bias=bias).double()
    nn.init.normal_(plain.weight, std=0.4)
    layer = LoRALinear(plain, rank=2, scaling=1.5).double()
    nn.init.normal_(layer.lora_B, std=0.2)
    return layer


def norm(width: int, *, seed: int) -> Norm:
    torch.manual_seed(seed)
    module = nn.RMSNorm(width, eps=EPS).double().requires_grad_(requires_grad=False)
    nn.init.normal_(module.weight, mean=1, std=0.2)
    return Norm(module, EPS)


def normed(x: Tensor, by: Norm) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), by.module.weight, EPS)


def applied(layer: LoRALinear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight, layer.bias) + layer.scaling * x @ layer.lora_A.t() @ (
        layer.lora_B.t()
    )


def factors(layers: list[LoRALinear]) -> list[nn.Parameter]:
    return [p for layer in layers for p in (layer.lora_A, layer.lora_B)]


def compare(made: Tensor, wanted: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(made, wanted)
    direction = torch.linspace(-1, 2, made.numel(), dtype=made.dtype).view(made.shape)
    found = torch.autograd.grad(made, inputs, direction)
    torch.testing.assert_close(found, torch.autograd.grad(wanted, inputs, direction))


def rows(*, grad: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(EDGES[-1], WIDTH, generator=generator, dtype=torch.float64)
    return x.requires_grad_(grad)


@pytest.mark.parametrize("grad", [True, False], ids=["inside", "lowest"])
@pytest.mark.parametrize("recomputed", [False, True])
def test_the_mlp_half_is_that_of_autograd(recomputed: bool, grad: bool) -> None:
    layers = [
        linear(WIDTH, 9, seed=0, bias=True),
        linear(WIDTH, 9, seed=1, bias=True),
        linear(9, WIDTH, seed=2, bias=True),
    ]
    before, x = norm(WIDTH, seed=3), rows(grad=grad)
    half = MlpHalf(
        NormedProjection(before, Projection(layers[:2])), Projection(layers[2:]), Runner()
    )
    n = normed(x, before)
    wanted = x + applied(layers[2], F.silu(applied(layers[0], n)) * applied(layers[1], n))
    inputs: list[Tensor] = [*([x] if grad else []), *factors(layers)]
    compare(half(x, recomputed=recomputed), wanted, inputs)


def angles(pairs: int) -> Tensor:
    positions = torch.cat([torch.arange(stop - start) for start, stop in pairwise(EDGES)])
    return positions[:, None].double() / 3.0 ** torch.arange(pairs)


def turned(heads: Tensor, pairs: int, *, interleaved: bool) -> Tensor:
    """Rotary positions as complex numbers; the channels behind the turned ones stay."""
    chosen, rest = heads[..., : 2 * pairs], heads[..., 2 * pairs :]
    form = (-1, 2) if interleaved else (2, -1)
    numbers = chosen.view(*chosen.shape[:-1], *form)
    left, right = numbers.unbind(-1 if interleaved else -2)
    moved = torch.complex(left, right) * torch.polar(torch.ones(1).double(), angles(pairs))[:, None]
    parts = torch.stack([moved.real, moved.imag], dim=-1 if interleaved else -2)
    return torch.cat([parts.flatten(-2), rest], dim=-1)


def attention(layers: list[LoRALinear], x: Tensor, **form: Any) -> Tensor:
    """By PyTorch's attention, a segment at a time."""
    n = normed(x, form["before"])
    q, k, v = (applied(layer, n).view(len(n), -1, HEAD_DIM) for layer in layers[:3])
    if form["head_norms"]:
        q, k = (normed(each, by) for each, by in zip((q, k), form["head_norms"], strict=True))
    q, k = (turned(each, form["pairs"], interleaved=form["interleaved"]) for each in (q, k))
    group = HEADS // KV_HEADS
    k, v = (each.repeat_interleave(group, dim=1) for each in (k, v))
    outs = []
    for start, stop in pairwise(EDGES):
        a, b, c = (each[start:stop].transpose(0, 1)[None] for each in (q, k, v))
        out = F.scaled_dot_product_attention(a, b, c, is_causal=True, scale=SCALE)
        outs.append(out[0].transpose(0, 1).flatten(1))
    return x + applied(layers[3], torch.cat(outs))


@pytest.mark.parametrize("grad", [True, False], ids=["inside", "lowest"])
@pytest.mark.parametrize("pairs", [3, 2], ids=["whole", "partial"])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("head_norms", [False, True])
def test_the_attention_half_is_that_of_autograd(
    head_norms: bool, interleaved: bool, pairs: int, grad: bool
) -> None:
    outs = (HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM)
    layers = [linear(WIDTH, out, seed=i, bias=True) for i, out in enumerate(outs)]
    layers.append(linear(HEADS * HEAD_DIM, WIDTH, seed=4))
    before, x = norm(WIDTH, seed=5), rows(grad=grad)
    norms = tuple(norm(HEAD_DIM, seed=seed) for seed in (6, 7)) if head_norms else ()
    half = AttentionHalf(
        NormedProjection(before, Projection(layers[:3])),
        Projection(layers[3:]),
        norms,
        heads=HEADS,
        kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        scale=SCALE,
        interleaved=interleaved,
        run=Runner(),
    )
    geometry = Geometry(angles(pairs).cos(), angles(pairs).sin(), EDGES, max(EDGES))
    wanted = attention(
        layers, x, before=before, head_norms=norms, pairs=pairs, interleaved=interleaved
    )
    inputs: list[Tensor] = [*([x] if grad else []), *factors(layers)]
    compare(half(x, geometry), wanted, inputs)

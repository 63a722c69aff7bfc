"""Attention with its backward pass called apart, beside PyTorch's attention and autograd."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorafw.models.segment_backward import attend, attend_backward

SCALE = 0.3


def side_by_side(tokens: int, heads: int, kv_heads: int, dim: int, dtype: torch.dtype) -> Tensor:
    """Queries, keys and values as one product makes them, `[tokens, all heads, dim]`."""
    generator = torch.Generator().manual_seed(tokens)
    shape = (tokens, heads + 2 * kv_heads, dim)
    return torch.randn(shape, generator=generator).bfloat16().to(dtype)


def by_autograd(
    rows: Tensor, heads: int, kv_heads: int, edges: list[int], d_out: Tensor
) -> list[Tensor]:
    """Output and gradient of all heads, a segment at a time."""
    rows = rows.double().requires_grad_()
    q, k, v = apart(rows, heads, kv_heads)
    outs = []
    for start, stop in itertools.pairwise(edges):
        a, b, c = (each[start:stop].transpose(0, 1) for each in (q, k, v))
        b, c = (each.repeat_interleave(heads // kv_heads, 0) for each in (b, c))
        out = F.scaled_dot_product_attention(a, b, c, is_causal=True, scale=SCALE)
        outs.append(out.transpose(0, 1))
    out = torch.cat(outs)
    return [out.detach(), *torch.autograd.grad(out, rows, d_out.double())]


def by_hand(
    rows: Tensor, heads: int, kv_heads: int, edges: list[int], d_out: Tensor
) -> list[Tensor]:
    """The same through views, as a layer calls it; gradients are written side by side as well."""
    grads = torch.full_like(rows, torch.nan)
    parts, places = (apart(each, heads, kv_heads) for each in (rows, grads))
    kept = attend(parts, edges, scale=SCALE)
    attend_backward(places, d_out, parts, kept, edges, scale=SCALE)
    return [kept[0], grads]


def apart(rows: Tensor, heads: int, kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    keys = heads + kv_heads
    return rows[:, :heads], rows[:, heads:keys], rows[:, keys:]


def direction(tokens: int, heads: int, dim: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(tokens, heads, dim, generator=generator).bfloat16().to(dtype)


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    dim=st.integers(1, 9),
)
def test_equals_autograd(lengths: list[int], kv_heads: int, group: int, dim: int) -> None:
    edges, heads = [0, *itertools.accumulate(lengths)], kv_heads * group
    rows = side_by_side(edges[-1], heads, kv_heads, dim, torch.float64)
    d_out = direction(edges[-1], heads, dim, torch.float64)
    found = by_hand(rows, heads, kv_heads, edges, d_out)
    torch.testing.assert_close(found, by_autograd(rows, heads, kv_heads, edges, d_out))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("edges", [[0, 1, 130, 387, 388], [0, 2048]], ids=["ragged", "long"])
def test_is_near_to_fp64(edges: list[int], dtype: torch.dtype) -> None:
    heads, kv_heads, dim = 4, 2, 16
    rows = side_by_side(edges[-1], heads, kv_heads, dim, dtype)
    d_out = direction(edges[-1], heads, dim, dtype)
    found = by_hand(rows, heads, kv_heads, edges, d_out)
    limit = {torch.float32: 1e-6, torch.bfloat16: 0.01}[dtype]
    for value, wanted in zip(found, by_autograd(rows, heads, kv_heads, edges, d_out), strict=True):
        assert value.dtype == dtype
        assert distance(value, wanted) < limit


def test_nothing_given_is_changed() -> None:
    edges = [0, 3, 9]
    rows, d_out = side_by_side(9, 2, 1, 4, torch.float32), direction(9, 2, 4, torch.float32)
    kept = rows.clone(), d_out.clone()
    by_hand(rows, 2, 1, edges, d_out)
    assert torch.equal(rows, kept[0])
    assert torch.equal(d_out, kept[1])


def test_what_is_kept_besides_is_a_number_for_each_row_of_scores() -> None:
    q, k, v = apart(side_by_side(9, 2, 1, 4, torch.bfloat16), 2, 1)
    _, scores = attend((q, k, v), [0, 9], scale=SCALE)
    assert scores.shape == (9, 2)
    assert scores.dtype == torch.float32
    wide = torch.einsum("qhd,kd->qhk", q.double(), k[:, 0].double()) * SCALE
    seen = torch.ones(9, 9, dtype=torch.bool).tril()
    wanted = wide.masked_fill(~seen[:, None], -torch.inf).logsumexp(-1)
    torch.testing.assert_close(scores.double(), wanted, rtol=1e-2, atol=1e-2)

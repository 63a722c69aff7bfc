"""The product of many experts, each for the rows that were sent to it, with their updates."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorafw.adapters.live.expert_factors import by_expert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def expert_products(
    x: Tensor,
    ends: Sequence[int],
    weight: Tensor,
    factors: tuple[Tensor, Tensor, float] | None,
    *,
    transposed: bool,
) -> Tensor:
    """`x W_e^T + scaling * (x A_e^T) B_e^T`, where `e` is the expert of the row.

    Args:
        x: rows sorted by expert, `[rows, in]`; all is computed in its dtype.
        ends: where the rows of each expert end.
        weight: frozen, `[experts, out, in]`, or `[experts, in, out]` if `transposed`.
        factors: A and B as in `by_expert`, and the scaling; None for the frozen product alone.
        transposed: see `weight`.

    Returns:
        `[rows, out]`. Kept for the backward pass are `x` and `x A^T`. An expert without rows has
        gradients of zero.
    """
    made: Tensor = _ExpertProducts.apply(  # type: ignore[no-untyped-call]
        x, tuple(ends), weight, *(factors or (None, None, 0.0)), transposed
    )
    return made


class _ExpertProducts(torch.autograd.Function):
    """Saves the parameters themselves, as sharded training empties and refills them in between."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        ends: tuple[int, ...],
        weight: Tensor,
        a: Tensor | None,
        b: Tensor | None,
        scaling: float,
        transposed: bool,
    ) -> Tensor:
        kept = weight.to(x.dtype)
        maps = kept if transposed else kept.transpose(1, 2)
        out, low = x.new_empty(len(x), maps.shape[2]), None
        for expert, rows in _spans(ends):
            torch.mm(x[rows], maps[expert], out=out[rows])
        if a is not None and b is not None:
            down, up = _factors(a, b, scaling, x.dtype, len(ends))
            low = x.new_empty(len(x), down.shape[1])
            for expert, rows in _spans(ends):
                torch.mm(x[rows], down[expert].t(), out=low[rows])
                out[rows].addmm_(low[rows], up[expert].t())
        ctx.save_for_backward(x, weight, a, b, low)
        ctx.rest = ends, scaling, transposed
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outs: Tensor) -> tuple[Tensor | None, ...]:
        (d_out,), (x, weight, a, b, low) = d_outs, ctx.saved_tensors
        ends, scaling, transposed = ctx.rest
        kept = weight.to(x.dtype)
        maps = kept.transpose(1, 2) if transposed else kept
        d_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        if d_x is not None:
            for expert, rows in _spans(ends):
                torch.mm(d_out[rows], maps[expert], out=d_x[rows])
        if a is None:
            return d_x, None, None, None, None, None, None
        down, up = _factors(a, b, scaling, x.dtype, len(ends))
        d_a, d_b = torch.zeros_like(down), torch.zeros_like(up)
        for expert, rows in _spans(ends):
            d_low = d_out[rows] @ up[expert]
            if d_x is not None:
                d_x[rows].addmm_(d_low, down[expert])
            torch.mm(d_low.t(), x[rows], out=d_a[expert])
            torch.mm(d_out[rows].t(), low[rows], out=d_b[expert])
        whole_b = d_b.to(b.dtype).mul_(scaling).permute(1, 2, 0).reshape(b.shape)
        return d_x, None, None, d_a.to(a.dtype).reshape(a.shape), whole_b, None, None


def _spans(ends: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """The experts that have rows, and which."""
    for expert, (start, end) in enumerate(pairwise((0, *ends))):
        if end > start:
            yield expert, slice(start, end)


def _factors(
    a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype, experts: int
) -> tuple[Tensor, Tensor]:
    """A `[experts, r, in]`, and B `[experts, out, r]` with the scaling in it."""
    down, up = by_expert(a, b, experts)
    return down.to(dtype), (up * scaling).to(dtype).contiguous()

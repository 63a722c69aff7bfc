"""The product of plain linears with their updates, for all that read the same input at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Sequence


class Operand(NamedTuple):
    """One linear: `weight` `[out, in]` and `bias`, frozen; `a` `[r, in]` and `b` `[out, r]`."""

    weight: Tensor
    bias: Tensor | None
    a: Tensor
    b: Tensor
    scaling: float


def products(x: Tensor, operands: Sequence[Operand]) -> tuple[Tensor, ...]:
    """`x W^T + bias + scaling * (x A^T) B^T` for each operand; `[..., in]` to `[..., out]`.

    One product makes `x A^T` for all, one the gradient of every A, and the gradient of `x` is
    summed up where it is made. Kept for the backward pass are `x` and `x A^T`.
    """
    weights, biases, a, b, scalings = zip(*operands, strict=True)
    made: tuple[Tensor, ...] = _Products.apply(  # type: ignore[no-untyped-call]
        autocast(x), scalings, *weights, *biases, *a, *b
    )
    return made


def frozen_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x W^T + bias` in the dtype of `x`."""
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def autocast(x: Tensor) -> Tensor:
    """`x` in the dtype that autocast wants here, if it is on."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class _Products(torch.autograd.Function):
    """The fused product.

    It saves the parameters themselves, no views or casts of them: sharded training empties a
    parameter between forward and backward and fills it again, which only the parameter itself sees.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scalings: tuple[float, ...], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        weights, biases, a, b = _parts(tensors)
        rows = x.reshape(-1, x.shape[-1])
        low = _thin_product(rows, _stacked(a, x.dtype).t())
        made = []
        for part, weight, bias, up, scaling in zip(
            _columns(low, a), weights, biases, b, scalings, strict=True
        ):
            out = frozen_product(rows, weight, bias)
            # A small contiguous copy of B^T spares the large product a slow layout.
            out.addmm_(part, _scaled(up, scaling, x.dtype).t().contiguous())
            made.append(out.view(*x.shape[:-1], out.shape[-1]))
        ctx.save_for_backward(x, low, *weights, *a, *b)
        ctx.scalings = scalings
        return tuple(made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outs: Tensor) -> tuple[Tensor | None, ...]:
        x, low, *tensors = ctx.saved_tensors
        weights, a, b = _parts(tensors, kinds=3)
        rows, stacked = x.reshape(-1, x.shape[-1]), _stacked(a, x.dtype)
        grads = [d_out.reshape(-1, d_out.shape[-1]) for d_out in d_outs]
        d_low = torch.cat(
            [
                _thin_product(grad, _scaled(up, scaling, x.dtype))
                for grad, up, scaling in zip(grads, b, ctx.scalings, strict=True)
            ],
            dim=1,
        )
        d_x = _d_input(grads, weights, d_low, stacked) if ctx.needs_input_grad[0] else None
        # Products whose left side is thin and has contiguous rows are by far the fastest.
        d_a = (d_low.t().contiguous() @ rows).split([len(down) for down in a])
        d_b = [
            (part.t().contiguous() @ grad).t().contiguous().to(up.dtype).mul_(scaling)
            for part, grad, up, scaling in zip(
                _columns(low, a), grads, b, ctx.scalings, strict=True
            )
        ]
        frozen = [None] * (1 + 2 * len(weights))
        d_a = [grad.to(down.dtype) for grad, down in zip(d_a, a, strict=True)]
        return (None if d_x is None else d_x.view(x.shape), *frozen, *d_a, *d_b)


def _d_input(
    grads: Sequence[Tensor], weights: Sequence[Tensor], d_low: Tensor, stacked: Tensor
) -> Tensor:
    """The gradient of the common input, `[rows, in]`."""
    total = grads[0] @ weights[0].to(d_low.dtype)
    for grad, weight in zip(grads[1:], weights[1:], strict=True):
        total.addmm_(grad, weight.to(d_low.dtype))
    return total.addmm_(d_low, stacked)


def _parts(tensors: Sequence[Any], kinds: int = 4) -> tuple[Sequence[Any], ...]:
    """Tensors of several operands that come kind by kind."""
    count = len(tensors) // kinds
    return tuple(tensors[kind * count : (kind + 1) * count] for kind in range(kinds))


def _columns(low: Tensor, a: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The part of `x A^T` that belongs to each A."""
    return torch.split(low, [len(down) for down in a], dim=1)


def _stacked(a: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return a[0].to(dtype) if len(a) == 1 else torch.cat([down.to(dtype) for down in a])


def _thin_product(rows: Tensor, thin: Tensor) -> Tensor:
    """`rows @ thin`, where `thin` has few columns.

    In fp32, CPU libraries are up to three times faster with the thin factor on the left; in bf16
    they are not.
    """
    return (thin.t() @ rows.t()).t() if rows.dtype == torch.float32 else rows @ thin


def _scaled(b: Tensor, scaling: float, dtype: torch.dtype) -> Tensor:
    return (b * scaling).to(dtype)

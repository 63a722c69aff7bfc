"""The elementwise formulas of a layer, written once for every way to run them.

Each works in place on rows `[n, ...]` that may be strided views; all arithmetic is fp32 or wider,
and each value is rounded once, when it is written. No slice is assigned and nothing is
concatenated: compilers turn such forms into scalar code.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gate", "gate_backward", "normalise", "normalise_backward", "rotate"]


def normalise(out: Tensor, rstd: Tensor, x: Tensor, *, weight: Tensor, eps: float) -> None:
    """RMSNorm (arXiv:1910.07467, eq. 4): `out = x * rstd * weight`.

    Args:
        out: `[..., width]`, written; may be `x` itself.
        rstd: `[..., 1]`, fp32 or wider, written: `1 / sqrt(mean(x^2) + eps)`.
        x: `[..., width]`.
        weight: `[width]`.
        eps: added to the mean square.
    """
    wide = x.to(rstd.dtype)
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    out.copy_(wide * scale * weight)
    rstd.copy_(scale)


def normalise_backward(
    d_x: Tensor,
    out: Tensor,
    beside: Tensor,
    d_out: Tensor,
    x: Tensor,
    rstd: Tensor,
    *,
    weight: Tensor,
) -> None:
    """The gradient of `normalise`, added to another of its input; and its output again.

    With `n = x * rstd` and `g = d_out * weight`: `d_x = beside + rstd * (g - n * mean(g * n))`.

    Args:
        d_x: `[..., width]`, written.
        out: `[..., width]`, written: `n * weight`.
        beside: `[..., width]`, the gradient that comes past the norm.
        d_out: `[..., width]`, the output's gradient.
        x: `[..., width]`, the input.
        rstd: `[..., 1]`, as `normalise` wrote it.
        weight: `[width]`.
    """
    scaled = x.to(rstd.dtype) * rstd
    grad = d_out.to(rstd.dtype) * weight
    along = (grad * scaled).mean(-1, keepdim=True)
    d_x.copy_(beside.to(rstd.dtype) + rstd * (grad - scaled * along))
    out.copy_(scaled * weight)


def rotate(left: Tensor, right: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn channel pairs by their positions' angles (RoPE, arXiv:2104.09864, eq. 34).

    A negative sine turns them back, which is the gradient too.

    Args:
        left: `[n, heads, pairs]`, the first channel of every pair, turned in place.
        right: likewise the second.
        cos: `[n, pairs]`, fp32 or wider.
        sin: likewise.
    """
    x, y = left.to(cos.dtype), right.to(cos.dtype)
    cos, sin = cos[:, None], sin[:, None]
    turned = (x * cos - y * sin).to(left.dtype), (y * cos + x * sin).to(right.dtype)
    left.copy_(turned[0])
    right.copy_(turned[1])


def gate(out: Tensor, gates: Tensor, ups: Tensor) -> None:
    """SwiGLU (arXiv:2002.05202, eq. 6): `out = silu(gates) * ups`, all `[n, width]`."""
    g = gates.to(torch.promote_types(gates.dtype, torch.float32))
    out.copy_(g * torch.sigmoid(g) * ups.to(g.dtype))


def gate_backward(gates: Tensor, ups: Tensor, d_out: Tensor) -> None:
    """The gradients of `gate` over its inputs; `d_out` becomes its output again.

    With `s = sigmoid(g)`: `dg = d u s (1 + g (1 - s))`, `du = d g s`.

    Args:
        gates: `[n, width]`, an input, and afterwards its gradient.
        ups: likewise the other.
        d_out: `[n, width]`, the output's gradient, and afterwards the output.
    """
    wide = torch.promote_types(gates.dtype, torch.float32)
    g, u, d = gates.to(wide), ups.to(wide), d_out.to(wide)
    chance = torch.sigmoid(g)
    silu = g * chance
    d_gates = (d * u * (chance + silu * (1 - chance))).to(gates.dtype)
    d_ups, again = (d * silu).to(ups.dtype), (silu * u).to(d_out.dtype)
    gates.copy_(d_gates)
    ups.copy_(d_ups)
    d_out.copy_(again)

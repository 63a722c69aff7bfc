"""The first half of a layer: `y = x + O attention(rope(Q n), rope(K n), V n)`, `n = norm(x)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorafw.models.segment_backward import attend, attend_backward
from lorafw_custom.fast.formulas import rotate

if TYPE_CHECKING:
    from lorafw_custom.fast.geometry import Geometry
    from lorafw_custom.fast.normed import Norm, NormedProjection
    from lorafw_custom.fast.projection import Projection
    from lorafw_custom.fast.running import Runner

__all__ = ["AttentionHalf"]


@dataclass(frozen=True)
class AttentionHalf:
    """What the attention half of one layer is made of.

    Attributes:
        qkv: queries, keys and values side by side, behind the layer's norm.
        out: back to the layer's width.
        head_norms: of queries and of keys, head by head; empty if there are none.
        heads, kv_heads, head_dim: sizes.
        scale: factor of the scores.
        interleaved: whether RoPE turns neighbours, or channels half of the turned ones apart.
        run: how formulas are run.
    """

    qkv: NormedProjection
    out: Projection
    head_norms: tuple[Norm, ...]
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    interleaved: bool
    run: Runner

    def __call__(self, x: Tensor, geometry: Geometry) -> Tensor:
        """`[n, width]` to `[n, width]`."""
        live = *self.qkv.projection.live(), *self.out.live()
        made: Tensor = _Attention.apply(self, geometry, x, *live)  # type: ignore[no-untyped-call]
        return made

    def split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views of queries, keys and values, `[n, heads, head_dim]` each."""
        heads = qkv.view(len(qkv), -1, self.head_dim)
        keys = self.heads + self.kv_heads
        return heads[:, : self.heads], heads[:, self.heads : keys], heads[:, keys:]

    def turn(self, qkv: Tensor, geometry: Geometry, *, back: bool = False) -> None:
        """Give queries and keys their positions, in place, or take them back."""
        heads = qkv.view(len(qkv), -1, self.head_dim)[:, : self.heads + self.kv_heads]
        pairs = geometry.cos.shape[1]
        left, right = heads[..., :pairs], heads[..., pairs : 2 * pairs]
        if self.interleaved:
            left, right = heads[..., : 2 * pairs : 2], heads[..., 1 : 2 * pairs : 2]
        self.run(rotate, left, right, geometry.cos, -geometry.sin if back else geometry.sin)

    def norm_heads(self, qkv: Tensor) -> list[Tensor]:
        """Norm queries and keys in place; what they were, and the norms' factors, come back."""
        kept = []
        for norm, heads in zip(self.head_norms, self.split(qkv), strict=False):
            raw = heads.clone()
            kept += [raw, norm.forward(heads, raw, self.run)]
        return kept

    def norm_heads_backward(self, d_qkv: Tensor, kept: list[Tensor]) -> None:
        """From the gradients of normed queries and keys to those of plain ones, in place."""
        pairs = zip(kept[::2], kept[1::2], strict=True)
        for norm, d_heads, (raw, rstd) in zip(
            self.head_norms, self.split(d_qkv), pairs, strict=False
        ):
            d_raw = torch.empty_like(raw)
            norm.backward(d_raw, torch.zeros_like(raw), d_heads, raw, rstd, self.run)
            d_heads.copy_(d_raw)


class _Attention(torch.autograd.Function):
    """Kept are `x`, turned queries, keys and values, and the attention's output; nothing normed."""

    @staticmethod
    def forward(
        ctx: Any, half: AttentionHalf, geometry: Geometry, x: Tensor, *live: Tensor
    ) -> Tensor:
        of_qkv, of_out = _parted(half, live)
        qkv, rstd, low = half.qkv.forward(x, half.qkv.projection.cast(of_qkv, x.dtype), half.run)
        raw = half.norm_heads(qkv)
        half.turn(qkv, geometry)
        attended, scores = attend(half.split(qkv), geometry.boundaries, scale=half.scale)
        factors = half.out.cast(of_out, x.dtype)
        out, low_out = half.out.forward(attended.flatten(1), factors, residual=x)
        ctx.half, ctx.geometry, ctx.factors = half, geometry, len(live)
        ctx.save_for_backward(*live, x, rstd, low, qkv, attended, scores, low_out, *raw)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        half, geometry, saved = ctx.half, ctx.geometry, ctx.saved_tensors
        of_qkv, of_out = _parted(half, saved[: ctx.factors])
        x, rstd, low, qkv, attended, scores, low_out, *raw = saved[ctx.factors :]
        flat, d_out = attended.flatten(1), d_out.contiguous()
        d_attended, d_low = half.out.backward(d_out, half.out.cast(of_out, x.dtype))
        grads = half.out.factor_gradients(of_out, flat, low_out, d_low, d_out)
        d_qkv = torch.empty_like(qkv)
        attend_backward(
            half.split(d_qkv),
            d_attended.view(attended.shape),
            half.split(qkv),
            (attended, scores),
            geometry.boundaries,
            scale=half.scale,
        )
        half.turn(d_qkv, geometry, back=True)
        half.norm_heads_backward(d_qkv, raw)
        beside = d_out if ctx.needs_input_grad[2] else None
        d_x, first = half.qkv.backward(d_qkv, of_qkv, (x, rstd, low), beside, half.run)
        return None, None, d_x, *first, *grads


def _parted(
    half: AttentionHalf, live: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The factors of queries, keys and values, and those of the way back."""
    count = half.qkv.projection.factors
    return live[:count], live[count:]

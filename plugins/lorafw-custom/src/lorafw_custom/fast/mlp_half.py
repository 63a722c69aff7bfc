"""The second half of a layer: `y = x + D (silu(G n) * U n)`, `n = norm(x)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lorafw_custom.fast.formulas import gate, gate_backward

if TYPE_CHECKING:
    from lorafw_custom.fast.normed import NormedProjection
    from lorafw_custom.fast.projection import Projection
    from lorafw_custom.fast.running import Runner

__all__ = ["MlpHalf"]


@dataclass(frozen=True)
class MlpHalf:
    """What the feed-forward half of one layer is made of.

    Attributes:
        gate_up: gates and ups side by side, behind the layer's norm.
        down: back to the layer's width.
        run: how formulas are run.
    """

    gate_up: NormedProjection
    down: Projection
    run: Runner

    def __call__(self, x: Tensor, *, recomputed: bool = False) -> Tensor:
        """`[n, width]` to `[n, width]`; recomputed, gates and ups are made again backwards."""
        live = *self.gate_up.projection.live(), *self.down.live()
        made: Tensor = _Mlp.apply(self, recomputed, x, *live)  # type: ignore[no-untyped-call]
        return made

    def gates_and_ups(self, x: Tensor, live: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Gates and ups `[n, 2 width]`, the norm's factors, and `norm(x) A^T`."""
        return self.gate_up.forward(x, self.gate_up.projection.cast(live, x.dtype), self.run)


class _Mlp(torch.autograd.Function):
    """Kept are `x`, gates and ups unless recomputed; their product and all normed come again."""

    @staticmethod
    def forward(ctx: Any, half: MlpHalf, recomputed: bool, x: Tensor, *live: Tensor) -> Tensor:
        of_gates, of_down = _parted(half, live)
        both, rstd, low = half.gates_and_ups(x, of_gates)
        gates, ups = both.chunk(2, dim=1)
        gated = both.new_empty(gates.shape)
        half.run(gate, gated, gates, ups)
        factors = half.down.cast(of_down, x.dtype)
        out, low_down = half.down.forward(gated, factors, residual=x)
        ctx.half, ctx.factors = half, len(live)
        kept = () if recomputed else (both, rstd, low)
        ctx.save_for_backward(*live, x, low_down, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        half, saved = ctx.half, ctx.saved_tensors
        of_gates, of_down = _parted(half, saved[: ctx.factors])
        x, low_down, *kept = saved[ctx.factors :]
        both, rstd, low = kept or half.gates_and_ups(x, of_gates)
        d_out = d_out.contiguous()
        d_gated, d_low = half.down.backward(d_out, half.down.cast(of_down, x.dtype))
        # In place: gates and ups become their gradients, and the product's gradient the product.
        half.run(gate_backward, *both.chunk(2, dim=1), d_gated)
        grads = half.down.factor_gradients(of_down, d_gated, low_down, d_low, d_out)
        beside = d_out if ctx.needs_input_grad[2] else None
        d_x, first = half.gate_up.backward(both, of_gates, (x, rstd, low), beside, half.run)
        return None, None, d_x, *first, *grads


def _parted(
    half: MlpHalf, live: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The factors of gates and ups, and those of the way back."""
    count = half.gate_up.projection.factors
    return live[:count], live[count:]

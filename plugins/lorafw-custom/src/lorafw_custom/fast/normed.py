"""RMSNorm, alone and before a projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from lorafw_custom.fast.formulas import normalise, normalise_backward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lorafw_custom.fast.projection import Factors, Projection
    from lorafw_custom.fast.running import Runner

__all__ = ["Norm", "NormedProjection"]


@dataclass(frozen=True)
class Norm:
    """A frozen RMSNorm: the module that has its `weight`, and what is added to the mean square."""

    module: Any
    eps: float

    def forward(self, out: Tensor, x: Tensor, run: Runner) -> Tensor:
        """Write the normed rows, which may be over `x`; the factor of each comes back."""
        rstd = x.new_empty(*x.shape[:-1], 1, dtype=torch.promote_types(x.dtype, torch.float32))
        run(normalise, out, rstd, x, weight=self.module.weight.detach(), eps=self.eps)
        return rstd

    def backward(
        self, d_x: Tensor, beside: Tensor, d_out: Tensor, x: Tensor, rstd: Tensor, run: Runner
    ) -> Tensor:
        """Write the input's gradient; the normed rows come back."""
        out, weight = torch.empty_like(x), self.module.weight.detach()
        run(normalise_backward, d_x, out, beside, d_out, x, rstd, weight=weight)
        return out


@dataclass(frozen=True)
class NormedProjection:
    """`projection(norm(x))`; the normed rows are not kept but made again."""

    norm: Norm
    projection: Projection

    def forward(
        self, x: Tensor, factors: Factors | None, run: Runner
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs `[n, out]`, the norm's factors `[n, 1]`, and `norm(x) A^T` `[n, R]`."""
        normed = torch.empty_like(x)
        rstd = self.norm.forward(normed, x, run)
        out, low = self.projection.forward(normed, factors)
        return out, rstd, low

    def backward(
        self,
        d_out: Tensor,
        live: Sequence[Tensor],
        kept: tuple[Tensor, Tensor, Tensor],
        beside: Tensor | None,
        run: Runner,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of `x` and of the factors.

        Args:
            d_out: `[n, out]`.
            live: the projection's factors.
            kept: `x`, the norm's factors, `norm(x) A^T`.
            beside: the gradient of `x` that comes past the norm; None where that of `x` is not
                wanted.
            run: how formulas are run.
        """
        x, rstd, low = kept
        factors = self.projection.cast(live, x.dtype)
        if beside is None:
            normed, d_x = torch.empty_like(x), None
            self.norm.forward(normed, x, run)
            d_low = self.projection.d_low(d_out, factors)
        else:
            d_normed, d_low = self.projection.backward(d_out, factors)
            d_x = torch.empty_like(x)
            normed = self.norm.backward(d_x, beside, d_normed, x, rstd, run)
        return d_x, self.projection.factor_gradients(live, normed, low, d_low, d_out)

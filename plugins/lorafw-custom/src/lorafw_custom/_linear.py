"""A linear layer with a LoRA update that keeps its input once and adds in place."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["LoRALinear"]


class LoRALinear(nn.Module):
    """`y = x W^T + bias + scaling * (x A^T) B^T` with `W` and `bias` frozen.

    The update is that of LoRA (Hu et al. 2021, arXiv:2106.09685, eq. 3). `weight` and `bias` are
    the very parameters of the given layer, under their old names; `lora_A` `[rank, in]` and
    `lora_B` `[out, rank]` are fp32 and trainable. A fresh layer computes what the given one did.

    The forward pass adds the update into the output of the frozen product and keeps, besides its
    input, only `x A^T`. It never forms `W + scaling * B A`: rounded to bf16, `W` would swallow most
    of a small update.

    Args:
        linear: the layer to adapt; its parameters are taken over and frozen.
        rank: the inner width of the update, at least 1.
        scaling: the factor of the update, usually `alpha / rank`.
        dropout: chance that an input of the update is dropped in training. Anything above 0 takes
            ordinary autograd, which keeps the dropped input too.

    Attributes:
        enabled: `False` leaves the frozen layer alone.

    Raises:
        TypeError: the weight is not a floating-point matrix, as in quantised layers.
        ValueError: `rank` is below 1.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, linear: nn.Linear, *, rank: int, scaling: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not linear.weight.is_floating_point():
            raise TypeError(f"LoRALinear needs a floating-point weight, not {linear.weight.dtype}")
        if rank < 1:
            raise ValueError(f"rank must be at least 1, not {rank}")
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.scaling, self.dropout, self.enabled = scaling, dropout, True
        self.weight, self.bias = linear.weight, linear.bias
        self.requires_grad_(requires_grad=False)
        device = linear.weight.device
        self.lora_A = nn.Parameter(torch.empty(rank, self.in_features, device=device))
        self.lora_B = nn.Parameter(torch.empty(self.out_features, rank, device=device))
        self.initialise()

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw `lora_A` as a new `nn.Linear` would be and set `lora_B` to zero."""
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.lora_B)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in]` to `[..., out]`.

        All is computed, and returned, in the dtype of `x` (under autocast, in autocast's); weights
        of another dtype are cast on the way. The gradients of `lora_A` and `lora_B` come back in
        their own dtype. There is no second derivative.
        """
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if self.enabled and not (self.training and self.dropout > 0):
            out: Tensor = _LoRAProduct.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self.lora_A, self.lora_B, self.scaling
            )
            return out
        frozen = _frozen_product(x, self.weight, self.bias)
        return frozen + self._dropped_update(x) if self.enabled else frozen

    def _dropped_update(self, x: Tensor) -> Tensor:
        low = F.linear(F.dropout(x, self.dropout), self.lora_A.to(x.dtype))
        return F.linear(low, (self.lora_B * self.scaling).to(x.dtype))

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """Return `W + scaling * B A` `[out, in]`, summed in fp32 and rounded once to W's dtype.

        This is for export; training on it would lose small updates to the rounding.
        """
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        factors = self.lora_B.to(wide), self.lora_A.to(wide)
        merged = torch.addmm(self.weight.to(wide), *factors, alpha=self.scaling)
        return merged.to(self.weight.dtype)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, rank={len(self.lora_A)}, scaling={self.scaling:g}"
        )


class _LoRAProduct(torch.autograd.Function):
    """The fused product.

    It saves the parameters themselves, no views or casts of them: sharded training empties a
    parameter between forward and backward and fills it again, which only the parameter itself sees.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = _thin_product(rows, a.to(x.dtype).t())
        out = _frozen_product(rows, weight, bias)
        # A small contiguous copy of B^T spares the large product a slow layout.
        out.addmm_(low, _scaled(b, scaling, x.dtype).t().contiguous())
        ctx.save_for_backward(x, low, weight, a, b)
        ctx.scaling = scaling
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        x, low, weight, a, b = ctx.saved_tensors
        rows, d_out = x.reshape(-1, x.shape[-1]), d_out.reshape(-1, d_out.shape[-1])
        d_low = _thin_product(d_out, _scaled(b, ctx.scaling, x.dtype))
        d_x = d_a = d_b = None
        if ctx.needs_input_grad[0]:
            d_x = (d_out @ weight.to(x.dtype)).addmm_(d_low, a.to(x.dtype)).view(x.shape)
        # Both products have a thin left side with contiguous rows, by far their fastest form.
        if ctx.needs_input_grad[3]:
            d_a = (d_low.t().contiguous() @ rows).to(a.dtype)
        if ctx.needs_input_grad[4]:
            d_b = (low.t().contiguous() @ d_out).t().contiguous().to(b.dtype).mul_(ctx.scaling)
        return d_x, None, None, d_a, d_b, None


def _frozen_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def _thin_product(rows: Tensor, thin: Tensor) -> Tensor:
    """`rows @ thin`, where `thin` has few columns.

    In fp32, CPU libraries are up to three times faster with the thin factor on the left; in bf16
    they are not.
    """
    return (thin.t() @ rows.t()).t() if rows.dtype == torch.float32 else rows @ thin


def _scaled(b: Tensor, scaling: float, dtype: torch.dtype) -> Tensor:
    return (b * scaling).to(dtype)

"""Linears that read the same rows, as one product with their updates."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from lorafw_custom._linear import LoRALinear

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Factors", "Projection"]


class Factors(NamedTuple):
    """The updates of all linears of a projection, in the dtype of the rows.

    `down` `[R, in]` has every A below the other; `up` `[R, out]` has every `scaling * B^T` where
    its ranks meet its outputs, and zeros elsewhere. So `x down^T up` is all updates at once.
    """

    down: Tensor
    up: Tensor


class Projection:
    """`y = x W^T + bias + (x A^T) (scaling B)^T` of linears side by side (arXiv:2106.09685, eq. 3).

    Their frozen weights are laid one behind the other in memory, so that one product serves all;
    the layers keep them, as views under their own names. Nothing here is recorded by autograd.

    Args:
        layers: linears with as many inputs, `LoRALinear` or frozen.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = tuple(layers)
        self._adapted = tuple(each for each in layers if isinstance(each, LoRALinear))
        outs = [len(each.weight) for each in layers]
        ends = list(accumulate(outs))
        self.inputs, self.width = layers[0].weight.shape[1], ends[-1]
        self.factors = 2 * len(self._adapted)
        self._places = [
            slice(end - out, end)
            for each, out, end in zip(layers, outs, ends, strict=True)
            if isinstance(each, LoRALinear)
        ]
        _lay_together([each.weight for each in layers])

    def whole(self) -> bool:
        """Whether the weights lie as they were laid; sharded or moved ones do not."""
        weights = [each.weight for each in self.layers]
        return sum(map(len, weights)) == self.width and _together(weights)

    def live(self) -> list[Tensor]:
        """A and B of every adapted linear, in turn; what autograd is to know of this projection."""
        return [factor for each in self._adapted for factor in each.factors()]

    def cast(self, live: Sequence[Tensor], dtype: torch.dtype) -> Factors | None:
        """The factors as the products take them; None if no linear is adapted."""
        if not live:
            return None
        down = torch.cat([a.to(dtype) for a in live[::2]])
        up = down.new_zeros(len(down), self.width)
        for b, ranks, place, layer in zip(
            live[1::2], _ranges(live), self._places, self._adapted, strict=True
        ):
            up[ranks, place] = (b * layer.scaling).t()
        return Factors(down, up)

    @property
    def weight(self) -> Tensor:
        """All weights as one, `[out, in]`."""
        first: Tensor = self.layers[0].weight.detach()
        return first.as_strided((self.width, first.shape[1]), first.stride())

    @property
    def bias(self) -> Tensor | None:
        """All biases as one, `[out]`, or None if there are none."""
        biases = [each.bias for each in self.layers]
        if all(bias is None for bias in biases):
            return None
        zeros = (each.weight.new_zeros(len(each.weight)) for each in self.layers)
        filled = [z if b is None else b.detach() for b, z in zip(biases, zeros, strict=True)]
        return torch.cat(filled)

    def forward(
        self, x: Tensor, factors: Factors | None, residual: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Outputs `[n, out]`, the residual added inside the product, and `x A^T` `[n, R]`."""
        bias, weight = self.bias, self.weight.t()
        added = bias if residual is None else residual
        out = x @ weight if added is None else torch.addmm(added, x, weight)
        if residual is not None and bias is not None:
            out += bias
        if factors is None:
            return out, x.new_empty(len(x), 0)
        low = thin(x, factors.down.t())
        return out.addmm_(low, factors.up), low

    def backward(self, d_out: Tensor, factors: Factors | None) -> tuple[Tensor, Tensor | None]:
        """The gradients of the rows `[n, in]` and of `x A^T` `[n, R]`."""
        d_x = d_out @ self.weight
        if factors is None:
            return d_x, None
        d_low = thin(d_out, factors.up.t())
        return d_x.addmm_(d_low, factors.down), d_low

    def d_low(self, d_out: Tensor, factors: Factors | None) -> Tensor | None:
        """The gradient of `x A^T` alone, where that of the rows is not wanted."""
        return None if factors is None else thin(d_out, factors.up.t())

    def factor_gradients(
        self, live: Sequence[Tensor], x: Tensor, low: Tensor, d_low: Tensor | None, d_out: Tensor
    ) -> list[Tensor]:
        """The gradients of `live`: `dA = d_low^T x`, `dB = scaling d_out^T low`."""
        if d_low is None:
            return []
        # Products whose left side is thin and has contiguous rows are by far the fastest.
        d_down = d_low.t().contiguous() @ x
        d_up = low.t().contiguous() @ d_out
        grads: list[Tensor] = []
        for a, b, ranks, place, layer in zip(
            live[::2], live[1::2], _ranges(live), self._places, self._adapted, strict=True
        ):
            grads.append(d_down[ranks].to(a.dtype))
            grads.append(d_up[ranks, place].t().to(b.dtype).mul_(layer.scaling))
        return grads


def thin(rows: Tensor, factor: Tensor) -> Tensor:
    """`rows @ factor`, where `factor` has few columns.

    In fp32, CPU libraries are up to three times faster with the thin factor on the left.
    """
    return (factor.t() @ rows.t()).t() if rows.dtype == torch.float32 else rows @ factor


def _ranges(live: Sequence[Tensor]) -> list[slice]:
    """Which ranks belong to each A."""
    ranks = [len(a) for a in live[::2]]
    return [slice(e - r, e) for r, e in zip(ranks, accumulate(ranks), strict=True)]


def _lay_together(weights: Sequence[nn.Parameter | Tensor]) -> None:
    if _together(weights):
        return
    laid = torch.cat([weight.detach() for weight in weights])
    for weight, part in zip(weights, torch.split(laid, [len(w) for w in weights]), strict=True):
        weight.data = part


def _together(weights: Sequence[Tensor]) -> bool:
    """Whether each lies right behind the one before it in the same storage."""
    end, storage = None, weights[0].untyped_storage()._cdata  # noqa: SLF001 - its owner
    for weight in weights:
        begins = weight.storage_offset()
        if not weight.is_contiguous() or weight.untyped_storage()._cdata != storage:  # noqa: SLF001
            return False
        if end is not None and begins != end:
            return False
        end = begins + weight.numel()
    return True

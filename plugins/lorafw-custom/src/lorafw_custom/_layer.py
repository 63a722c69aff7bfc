"""What every adapted layer has: the factors of its update, and DoRA's magnitudes."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["AdapterLayer"]


class AdapterLayer(nn.Module):
    """`y = (W + scaling * B A) x + bias`, with `W` and `bias` frozen.

    LoRA is that of Hu et al. 2021 (arXiv:2106.09685, eq. 3). With DoRA (arXiv:2402.09353, eq. 5)
    each row of the sum is brought to a learned length, `m * (W + scaling * B A) / ||...||`, whose
    norm counts as a constant (section 4.3), as in PEFT. A subclass holds the frozen weight and says
    how it acts. A fresh layer computes what the frozen one did.

    Args:
        in_features, out_features: size of the frozen weight.
        rank: the inner width of the update, at least 1.
        scaling: the factor of the update, usually `alpha / rank`.
        dropout: chance that an input of the update is dropped in training.
        device: where the factors go.

    Attributes:
        lora_A, lora_B: `[rank, in]` and `[out, rank]`, fp32 and trainable.
        lora_magnitude_vector: `m`, fp32 `[out]`, with DoRA; else None.
        start: factors of the same shapes that are subtracted from the update, or None.
        enabled: `False` leaves the frozen layer alone.

    Raises:
        ValueError: `rank` is below 1.
    """

    lora_magnitude_vector: nn.Parameter | None
    weight: Any
    bias: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rank: int,
        scaling: float,
        dropout: float,
        device: torch.device,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, not {rank}")
        self.in_features, self.out_features = in_features, out_features
        self.scaling, self.dropout, self.enabled = scaling, dropout, True
        self.lora_A = nn.Parameter(torch.empty(rank, in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.register_parameter("lora_magnitude_vector", None)
        # These constants are no buffers: data-parallel training would send those round every step.
        self.start: tuple[Tensor, Tensor] | None = None
        self._squares: Tensor | None = None

    def dense_weight(self) -> Tensor:
        """The frozen weight as numbers `[out, in]`, whatever its own layout."""
        raise NotImplementedError

    def product(self, x: Tensor) -> Tensor:
        """`x W^T` without the bias: `[..., in]` to `[..., out]`."""
        raise NotImplementedError

    @property
    def drops(self) -> bool:
        """Whether inputs of the update are dropped just now."""
        return self.training and self.dropout > 0

    @torch.no_grad()
    def learn_magnitudes(self) -> None:
        """Turn LoRA into DoRA: the magnitudes start as the lengths of the frozen weight's rows."""
        weight = self.dense_weight()
        self._squares = weight.to(_wide(weight)).square().sum(dim=1)
        self.lora_magnitude_vector = nn.Parameter(self.base_magnitudes().float())

    def base_magnitudes(self) -> Tensor:
        """The lengths of the frozen weight's rows, `[out]`; for DoRA only."""
        assert self._squares is not None
        return self._squares.sqrt()

    def factors(self) -> tuple[Tensor, Tensor]:
        """A and B of the update as it acts, of twice the rank if a start is subtracted.

        `B A - B0 A0 = [B - B0, B0] [A; A - A0]`: exactly nothing at the start, and no large terms
        that cancel, whatever the dtype of the products.
        """
        if self.start is None:
            return self.lora_A, self.lora_B
        a, b = self.start
        low, high = (self.lora_A, self.lora_A - a), (self.lora_B - b, b)
        return torch.cat(low), torch.cat(high, dim=1)

    def excess(self, a: Tensor, b: Tensor) -> Tensor:
        """`m / ||W + scaling * B A|| - 1` of each output, `[out]`.

        It is given less 1 because near 1 bf16 has steps of 0.8 %, which would swallow its changes.
        """
        assert self.lora_magnitude_vector is not None
        return self.lora_magnitude_vector / self._norms(a, b) - 1

    @torch.no_grad()
    def _norms(self, a: Tensor, b: Tensor) -> Tensor:
        """The lengths of the sum's rows, without forming it.

        `||w + s b A||^2 = ||w||^2 + 2 s (A w) b + s^2 b (A A^T) b`, for a row `w` of W, `b` of B.
        """
        assert self._squares is not None
        exact = self.weight.dtype if self.weight.is_floating_point() else a.dtype
        across = self.product(a.to(exact)).to(a.dtype).t()
        within = b @ (a @ a.t())
        change = (b * (2 * self.scaling * across + self.scaling**2 * within)).sum(dim=1)
        squares = self._squares + change
        return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()

    def updated(self, frozen: Tensor, x: Tensor) -> Tensor:
        """What the frozen layer made of `x`, with the update in it, by ordinary autograd."""
        a, b = self.factors()
        dropped = F.dropout(x, self.dropout, self.training)
        low = F.linear(dropped, a.to(x.dtype))
        update = F.linear(low, (b * self.scaling).to(x.dtype))
        if self.lora_magnitude_vector is None:
            return frozen + update
        plain = self.product(dropped) if self.drops else self._without_bias(frozen)
        return frozen + update + self.excess(a, b).to(x.dtype) * (plain + update)

    def _without_bias(self, frozen: Tensor) -> Tensor:
        return frozen if self.bias is None else frozen - self.bias.to(frozen.dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The whole layer as one weight `[out, in]`, formed in fp32 and rounded once to W's dtype.

        This is for export; training on it would lose small updates to the rounding.
        """
        weight, (a, b) = self.dense_weight(), self.factors()
        wide = _wide(weight)
        merged = torch.addmm(weight.to(wide), b.to(wide), a.to(wide), alpha=self.scaling)
        if self.lora_magnitude_vector is not None:
            norms = torch.linalg.vector_norm(merged, dim=1)
            merged *= (self.lora_magnitude_vector / norms.clamp_min(torch.finfo(wide).tiny))[
                :, None
            ]
        return merged.to(weight.dtype)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"rank={len(self.lora_A)}, scaling={self.scaling:g}"
        )


def _wide(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)

"""A LoRA update over a layer with a product of its own: quantised, or stored as [in, out]."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorafw.models.names import stores_transposed

__all__ = ["LoRAOverLayer"]


class LoRAOverLayer(nn.Module):
    """`y = layer(x) + scaling * (x A^T) B^T` with `layer` frozen.

    For linears whose weight is not plainly `[out, in]` numbers: bitsandbytes' 8- and 4-bit ones,
    GPT-2's `Conv1D`, subclasses with a forward pass of their own. The layer keeps that pass, and
    gives the gradient of its input; the update takes ordinary autograd. `lora_A` `[rank, in]` and
    `lora_B` `[out, rank]` are fp32, as in `LoRALinear`.

    Args:
        layer: the layer to adapt; it is kept and frozen.
        rank: the inner width of the update, at least 1.
        scaling: the factor of the update, usually `alpha / rank`.
        dropout: chance that an input of the update is dropped in training.

    Attributes:
        enabled: `False` leaves the frozen layer alone.
    """

    def __init__(self, layer: Any, *, rank: int, scaling: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer: Any = layer.requires_grad_(requires_grad=False)
        self.scaling, self.dropout, self.enabled = scaling, dropout, True
        transposed = stores_transposed(layer)
        in_features = layer.nx if transposed else layer.in_features
        out_features = layer.nf if transposed else layer.out_features
        device = layer.weight.device
        self.lora_A = nn.Parameter(torch.empty(rank, in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """The layer's own weight, in its own layout."""
        weight: Tensor = self.layer.weight
        return weight

    @property
    def bias(self) -> Tensor | None:
        """The layer's own bias."""
        bias: Tensor | None = self.layer.bias
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in]` to `[..., out]`, in the dtype of the frozen layer's output."""
        out: Tensor = self.layer(x)
        return out + self._update(x.to(out.dtype)) if self.enabled else out

    def _update(self, x: Tensor) -> Tensor:
        low = F.linear(F.dropout(x, self.dropout, self.training), self.lora_A.to(x.dtype))
        return F.linear(low, (self.lora_B * self.scaling).to(x.dtype))

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """The weight with the update in it, in its own layout, formed in fp32 and rounded once.

        Raises:
            TypeError: the weight is quantised: rounded to so few steps, an update is lost.
        """
        if not self.weight.is_floating_point():
            raise TypeError(f"its weight is quantised to {self.weight.dtype}")
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        update = self.scaling * (self.lora_B.to(wide) @ self.lora_A.to(wide))
        update = update.t() if stores_transposed(self.layer) else update
        return (self.weight.to(wide) + update).to(self.weight.dtype)

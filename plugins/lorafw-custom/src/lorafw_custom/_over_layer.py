"""A LoRA update over a layer with a product of its own: quantised, or stored as [in, out]."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from lorafw.models.dense import dense_weight
from lorafw.models.names import features, stores_transposed
from lorafw_custom._layer import AdapterLayer

__all__ = ["LoRAOverLayer"]


class LoRAOverLayer(AdapterLayer):
    """A layer that keeps its own forward pass, and an update on what that gives.

    For linears whose weight is not plainly `[out, in]` numbers: bitsandbytes' 8- and 4-bit ones,
    GPT-2's `Conv1D`, subclasses with a forward pass of their own. The layer gives the gradient of
    its input; the update takes ordinary autograd.

    Args:
        layer: the layer to adapt; it is kept and frozen.
        rank, scaling, dropout: as in `AdapterLayer`.
        use_dora: whether the lengths of the rows are learned apart.
    """

    def __init__(
        self,
        layer: Any,
        *,
        rank: int,
        scaling: float,
        dropout: float = 0.0,
        use_dora: bool = False,
    ) -> None:
        device = layer.weight.device
        super().__init__(
            *features(layer), rank=rank, scaling=scaling, dropout=dropout, device=device
        )
        self.layer: Any = layer.requires_grad_(requires_grad=False)
        if use_dora:
            self.learn_magnitudes()

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
        return self.updated(out, x.to(out.dtype)) if self.enabled else out

    def product(self, x: Tensor) -> Tensor:
        """The layer's own product less its bias; that of the weight, where it is plain numbers."""
        if not self.weight.is_floating_point():
            return self._without_bias(self.layer(x))
        return F.linear(x, self._as_linear(self.weight).to(x.dtype))

    def dense_weight(self) -> Tensor:
        """The weight as `[out, in]`; of a quantised layer, the numbers its bits stand for."""
        return self._as_linear(dense_weight(self.layer))

    def merged_weight(self) -> Tensor:
        """The weight with the update in it, in its own layout; see `merged`.

        Raises:
            TypeError: the weight is quantised: rounded to so few steps, an update is lost.
        """
        if not self.weight.is_floating_point():
            raise TypeError(f"its weight is quantised to {self.weight.dtype}")
        return self._as_linear(self.merged())

    def _as_linear(self, weight: Tensor) -> Tensor:
        """From the layer's own layout to `[out, in]`, and back."""
        return weight.t() if stores_transposed(self.layer) else weight

"""A linear layer with a LoRA update that keeps its input once and adds in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lorafw_custom._layer import AdapterLayer
from lorafw_custom._product import Operand, autocast, frozen_product, products

if TYPE_CHECKING:
    from lorafw_custom._sharing import Siblings

__all__ = ["LoRALinear"]


class LoRALinear(AdapterLayer):
    """A plain linear with an update; see `AdapterLayer` for the formula.

    `weight` and `bias` are the very parameters of the given layer, under their old names.

    The forward pass adds the update into the output of the frozen product and keeps, besides its
    input, only `x A^T`; DoRA keeps the output too. It never forms `W + scaling * B A`: rounded to
    bf16, `W` would swallow most of a small update.

    Args:
        linear: the layer to adapt; its parameters are taken over and frozen.
        rank, scaling, dropout: as in `AdapterLayer`. Dropout above 0 takes ordinary autograd, which
            keeps the dropped input too.
        use_dora: whether the lengths of the rows are learned apart.

    Attributes:
        siblings: layers that are given the same input, if any are.

    Raises:
        TypeError: the weight is not a floating-point matrix, as in quantised layers.
        ValueError: `rank` is below 1.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        linear: nn.Linear,
        *,
        rank: int,
        scaling: float,
        dropout: float = 0.0,
        use_dora: bool = False,
    ) -> None:
        if not linear.weight.is_floating_point():
            raise TypeError(f"LoRALinear needs a floating-point weight, not {linear.weight.dtype}")
        super().__init__(
            linear.in_features,
            linear.out_features,
            rank=rank,
            scaling=scaling,
            dropout=dropout,
            device=linear.weight.device,
        )
        linear.requires_grad_(requires_grad=False)
        self.weight, self.bias = linear.weight, linear.bias
        self.siblings: Siblings | None = None
        if use_dora:
            self.learn_magnitudes()

    def forward(self, x: Tensor) -> Tensor:
        """Map `[..., in]` to `[..., out]`.

        All is computed, and returned, in the dtype of `x` (under autocast, in autocast's); weights
        of another dtype are cast on the way. The gradients of `lora_A` and `lora_B` come back in
        their own dtype. There is no second derivative.
        """
        if not self.enabled or self.drops:
            x = autocast(x)
            frozen = frozen_product(x, self.weight, self.bias)
            return self.updated(frozen, x) if self.enabled else frozen
        shared = None if self.siblings is None else self.siblings.output_of(self, x)
        if shared is not None:
            return shared
        (out,) = products(x, [self.operand()])
        return out if self.lora_magnitude_vector is None else self._of_learned_length(out)

    def operand(self) -> Operand:
        """What `products` has to know of this layer."""
        bias = self.bias if self.lora_magnitude_vector is None else None
        return Operand(self.weight, bias, *self.factors(), self.scaling)

    def can_share(self, x: Tensor) -> bool:
        """Whether another layer may compute this one's output for `x`, here and now."""
        plain = self.enabled and not self.drops and self.lora_magnitude_vector is None
        partitioned = hasattr(self.weight, "ds_id")  # DeepSpeed ZeRO-3's mark
        return plain and not partitioned and self.weight.device == x.device

    def _of_learned_length(self, plain: Tensor) -> Tensor:
        """The output without bias, its features brought to their magnitudes; and the bias."""
        out = torch.addcmul(plain, plain, self.excess(*self.factors()).to(plain.dtype))
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def dense_weight(self) -> Tensor:
        """The frozen weight."""
        return self.weight

    def product(self, x: Tensor) -> Tensor:
        """`x W^T`."""
        return frozen_product(x, self.weight, None)

    def merged_weight(self) -> Tensor:
        """The weight `[out, in]` of the plain linear that computes the same; see `merged`."""
        return self.merged()

"""A LoRA update over an embedding, as PEFT's: A is indexed by tokens."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lorafw_custom._layer import AdapterLayer

__all__ = ["LoRAEmbedding"]


class LoRAEmbedding(AdapterLayer):
    """`y = E[id] + scaling * B A[:, id]`, or with DoRA every feature brought to a learned length.

    The weight `W` of `AdapterLayer` is the transposed table, `[width, vocabulary]`. A family's own
    factor on its embeddings (`embed_scale`) acts on the update as well.

    Args:
        layer: the embedding; it is kept and frozen.
        rank, scaling: as in `AdapterLayer`; nothing is dropped, as there is no input to drop from.
        use_dora: whether the lengths of the features are learned apart.
    """

    bias = None

    def __init__(
        self,
        layer: nn.Embedding,
        *,
        rank: int,
        scaling: float,
        dropout: float = 0.0,  # noqa: ARG002 - the same arguments for every kind of layer
        use_dora: bool = False,
    ) -> None:
        device, sizes = layer.weight.device, (layer.num_embeddings, layer.embedding_dim)
        super().__init__(*sizes, rank=rank, scaling=scaling, dropout=0.0, device=device)
        self.layer: Any = layer.requires_grad_(requires_grad=False)
        if use_dora:
            self.learn_magnitudes()

    @property
    def weight(self) -> Tensor:
        """The table `[vocabulary, width]`."""
        weight: Tensor = self.layer.weight
        return weight

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids `[...]` to `[..., width]`, summed in fp32, in the dtype of the table."""
        frozen: Tensor = self.layer(ids)
        if not self.enabled:
            return frozen
        a, b = self.factors()
        update = self.scaling * F.linear(F.embedding(ids, a.t()), b)
        out = frozen + update * getattr(self.layer, "embed_scale", 1.0)
        if self.lora_magnitude_vector is not None:
            out = out + self.excess(a, b) * out
        return out.to(frozen.dtype)

    def product(self, x: Tensor) -> Tensor:
        """`x W^T` for dense `x` `[..., vocabulary]`."""
        return x @ self.weight.to(x.dtype)

    def dense_weight(self) -> Tensor:
        """The transposed table."""
        return self.weight.t()

    def merged_weight(self) -> Tensor:
        """The table with the update in it; see `merged`."""
        return self.merged().t()

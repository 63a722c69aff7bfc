"""An embedding and a head some of whose rows are trained while the others stay frozen."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["RowsEmbedding", "RowsHead"]


class RowsEmbedding(nn.Embedding):
    """A frozen embedding with fp32 rows of its own in the places of some.

    `weight` is the very parameter of the given embedding, under its old name, so a head that
    shares it still does.

    Args:
        embedding: the one to stand in for; nothing but a table, times a scale in some families.
        ids: which rows are trained, [n].
        rows: their values, [n, width], fp32.

    Attributes:
        enabled: `False` leaves the frozen rows alone.
    """

    place_of: Tensor
    embed_scale: Tensor

    def __init__(self, embedding: nn.Embedding, ids: tuple[int, ...], rows: nn.Parameter) -> None:
        nn.Module.__init__(self)
        for name in ("num_embeddings", "embedding_dim", "padding_idx"):
            setattr(self, name, getattr(embedding, name))
        self.max_norm, self.norm_type = None, 2.0
        self.scale_grad_by_freq = self.sparse = False
        self.weight, self.trained_rows, self.enabled = embedding.weight, rows, True
        places = torch.full((self.num_embeddings,), -1, device=rows.device)
        places[list(ids)] = torch.arange(len(ids), device=rows.device)
        self.register_buffer("place_of", places, persistent=False)
        scale: Any = getattr(embedding, "embed_scale", 1.0)  # Gemma's, BART's
        scale = torch.as_tensor(scale, device=rows.device)
        self.register_buffer("embed_scale", scale.detach().clone(), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """Rows by their numbers: [...] -> [..., width], in the dtype of the frozen ones."""
        found = F.embedding(input, self.weight)
        if self.enabled:
            places = self.place_of[input]
            own = F.embedding(places.clamp(min=0), self.trained_rows).to(found.dtype)
            found = torch.where((places >= 0)[..., None], own, found)
        return found * self.embed_scale.to(found.dtype)


class RowsHead(nn.Linear):
    """A frozen head, some of whose outputs are made with fp32 rows of its own.

    `weight` and `bias` are the very parameters of the given linear, under their old names. With
    tied weights `rows` is the parameter of the embedding too: registered in both modules, so that
    sharded training gathers it for either.

    Args:
        linear: the one to stand in for.
        ids: which rows are trained, [n].
        rows: their values, [n, width], fp32.

    Attributes:
        enabled: `False` leaves the frozen rows alone.
    """

    ids: Tensor

    def __init__(self, linear: nn.Linear, ids: tuple[int, ...], rows: nn.Parameter) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.trained_rows, self.enabled = rows, True
        self.register_buffer("ids", torch.tensor(ids, device=rows.device), persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """Outputs [..., vocab] for inputs [..., width], in their dtype."""
        out = super().forward(input)
        if not self.enabled:
            return out
        bias: Any = self.bias  # None, whatever torch's annotation says, in most heads
        own_bias = None if bias is None else bias[self.ids]
        own = F.linear(input, self.trained_rows.to(input.dtype), own_bias)
        # In place: a copy of all logits would cost more than the product of a few rows.
        return out.index_copy_(-1, self.ids, own.to(out.dtype))

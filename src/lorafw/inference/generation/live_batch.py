"""The model's memory of several rows that are continued together."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts.model import ModelBundle


class LiveBatch:
    """Keys and values of rows that grow by a token each; rows join and leave between two steps.

    Rows are padded on the left, so that their last tokens stand in one column. A model whose memory
    is not one key and one value per token (recurrent ones, a prefix before each row) takes one row
    at a time; one without any such memory reads its row anew for every token.

    Args:
        bundle: the model, with whatever is adapted in it.

    Attributes:
        alone: the model takes one row at a time; None until its first row was seen.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        self._model: Any = bundle.module
        self._pad = bundle.pad_id
        self._device = next(bundle.module.parameters()).device
        self._takes = frozenset(inspect.signature(self._model.forward).parameters)
        self._ids = torch.empty(0, 0, dtype=torch.long, device=self._device)
        self._mask = self._ids
        self._cache: Any = None
        self.alone: bool | None = None

    def __len__(self) -> int:
        return len(self._mask)

    @torch.no_grad()
    def join(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Take rows in behind those that are there.

        Args:
            rows: token ids, none of them empty; a single row until `alone` is known to be False.

        Returns:
            What follows on each of them: fp32 logits [rows, vocab].
        """
        ids, mask = self._left_padded(rows)
        cache = self._fresh_cache()
        logits = self._forward(ids, mask, cache)
        if self.alone is None:
            self.alone = not _can_be_joined(cache, ids.shape[1])
        if not len(self):
            self._ids, self._mask, self._cache = ids, mask, cache
            return logits
        length = max(ids.shape[1], self._mask.shape[1])
        self._mask = _stacked(self._mask, mask, length)
        for layer, other in zip(self._cache.layers, cache.layers, strict=True):
            _append_rows(layer, other, length)
        return logits

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Give every row its next token.

        Returns:
            What follows then: fp32 logits [rows, vocab].
        """
        new = torch.tensor(list(tokens), device=self._device)[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(new)], dim=1)
        if self._cache is not None:
            return self._forward(new, self._mask, self._cache)
        self._ids = torch.cat([self._ids, new], dim=1)
        return self._forward(self._ids, self._mask, None)

    def keep(self, places: Sequence[int]) -> None:
        """Let go of all rows but these, which keep their order."""
        if len(places) == len(self):
            return
        if not places or self.alone:
            self._ids = self._mask = self._mask.new_empty(0, 0)
            self._cache = None
            return
        chosen = torch.tensor(list(places), device=self._device)
        self._mask = self._mask[chosen]
        unused = int(self._mask.any(0).int().argmax())
        self._mask = self._mask[:, unused:]
        for layer in filter(_is_filled, self._cache.layers):
            layer.keys = layer.keys[chosen, :, unused:]
            layer.values = layer.values[chosen, :, unused:]

    def _forward(self, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        offered = {"position_ids": positions, "past_key_values": cache, "logits_to_keep": 1}
        taken = {name: value for name, value in offered.items() if name in self._takes}
        use_cache = {"use_cache": cache is not None} if "use_cache" in self._takes else {}
        output = self._model(input_ids=ids, attention_mask=mask, **taken, **use_cache)
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _fresh_cache(self) -> Any:
        """A cache that holds every position, windows or not: the mask sees to windows."""
        if "past_key_values" not in self._takes:
            return None
        from transformers import DynamicCache
        from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

        wanted = DynamicCache(config=self._model.config)
        plain = {type(layer) for layer in wanted.layers} <= {
            DynamicLayer,
            DynamicSlidingWindowLayer,
        }
        return Cache(layers=[DynamicLayer() for _ in wanted.layers]) if plain else wanted

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids and attention mask [rows, length]."""
        length = max(map(len, rows))
        ids = [[self._pad] * (length - len(row)) + list(row) for row in rows]
        mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)


def _can_be_joined(cache: Any, length: int) -> bool:
    """Whether every layer holds keys and values, one for each token and no other."""
    from transformers.cache_utils import DynamicLayer

    if cache is None:
        return False
    filled = [layer for layer in cache.layers if _is_filled(layer)]
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        return False
    return bool(filled) and all(layer.get_seq_length() == length for layer in filled)


def _is_filled(layer: Any) -> bool:
    """Layers that share another's keys and values stay empty."""
    return bool(layer.is_initialized)


def _append_rows(layer: Any, other: Any, length: int) -> None:
    if _is_filled(layer):
        layer.keys = _stacked(layer.keys, other.keys, length, along=-2)
        layer.values = _stacked(layer.values, other.values, length, along=-2)


def _stacked(above: Tensor, below: Tensor, length: int, *, along: int = -1) -> Tensor:
    """Rows below rows, both filled up with zeros on the left of an axis to the same length."""
    return torch.cat([_lengthened(part, length, along) for part in (above, below)])


def _lengthened(part: Tensor, length: int, along: int) -> Tensor:
    behind = (0, 0) * (-along - 1)
    return F.pad(part, (*behind, length - part.shape[along], 0))

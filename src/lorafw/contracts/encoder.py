"""Encoder: examples to token ids and labels, and rows to batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from lorafw.contracts.component import Component
from lorafw.types import IGNORE_INDEX, Batch, Encoded, Example, Layout, Task, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(Component, ABC):
    """Turns an example into token ids and says which of them are trained.

    Promises: labels are set by position while rendering, never by searching for token ids;
    `prompt(example)` is a prefix of `encode(example)`; truncation keeps the end-of-sequence
    token and part of the response; a row with nothing to train gives None.
    """

    accepts: ClassVar[tuple[type[Example], ...]]
    task: ClassVar[Task]

    max_length: int = Field(1024, ge=8, description="Longest row, in tokens; longer ones are cut.")

    @abstractmethod
    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when it has nothing to train."""

    @abstractmethod
    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """What the model is given before it answers; nothing of it is trained."""

    def collate(self, rows: Sequence[Encoded], layout: Layout, pad_id: int) -> Batch:
        """Lay rows out for one forward pass, labels shifted to the position that predicts them."""
        return _segments(rows) if layout is Layout.SEGMENTS else _padded(rows, pad_id)


def _flat(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Sequences one behind the other, int64; fast when they are arrays."""
    import numpy as np
    import torch

    return torch.from_numpy(
        np.concatenate([np.asarray(each, dtype=np.int64) for each in sequences])
    )


def _shifted(rows: Sequence[Encoded], boundaries: Tensor) -> Tensor:
    """Labels one behind the other, each moved to the position that predicts it."""
    labels = _flat([row.labels for row in rows]).roll(-1)
    labels[boundaries[1:] - 1] = IGNORE_INDEX
    return labels


def _segments(rows: Sequence[Encoded]) -> Batch:
    import torch

    lengths = torch.tensor([len(row.input_ids) for row in rows])
    boundaries = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    tokens = _flat([row.input_ids for row in rows])
    inputs = {
        "input_ids": tokens,
        "position_ids": torch.arange(len(tokens)) - boundaries[:-1].repeat_interleave(lengths),
        "cu_seqlens": boundaries.to(torch.int32),
    }
    return Batch(inputs, _shifted(rows, boundaries))


def _padded(rows: Sequence[Encoded], pad_id: int) -> Batch:
    import torch

    lengths = torch.tensor([len(row.input_ids) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    tokens = torch.full(mask.shape, pad_id)
    tokens[mask] = _flat([row.input_ids for row in rows])
    labels = torch.full(mask.shape, IGNORE_INDEX)
    labels[mask] = _shifted(rows, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))
    return Batch({"input_ids": tokens, "attention_mask": mask.long()}, labels)

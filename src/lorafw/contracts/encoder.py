"""Encoder: examples to token ids and labels, and rows to batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from lorafw.contracts.component import Component
from lorafw.types import (
    IGNORE_INDEX,
    Batch,
    ChatExample,
    Encoded,
    Example,
    Layout,
    PromptExample,
    Task,
    TextExample,
    Tokenizer,
)

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(Component, ABC):
    """Turns an example into token ids and says which of them are trained.

    Promises: labels are set by position while rendering, never by searching for token ids;
    `prompt(example)` is a prefix of `encode(example)`; truncation keeps the end-of-sequence
    token and part of the response; a row with nothing to train gives None. What is trained reads
    as the `response` between its `affixes`.
    """

    accepts: ClassVar[tuple[type[Example], ...]]
    task: ClassVar[Task]

    max_length: int = Field(1024, ge=8, description="Longest row, in tokens; longer ones are cut.")
    max_prompt_length: int | None = Field(
        None, ge=4, description="Most tokens of a row before its answer."
    )
    max_response_length: int | None = Field(
        None, ge=4, description="Most tokens of the answer, its end included."
    )
    truncate: Literal["left", "right"] = Field(
        "left", description="The side on which an over-long prompt is cut."
    )

    @abstractmethod
    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when it has nothing to train."""

    @abstractmethod
    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """What the model is given before it answers; nothing of it is trained."""

    def encode_many(
        self, examples: Sequence[Example], tokenizer: Tokenizer
    ) -> Sequence[Encoded | None]:
        """`encode` of each example; overridden where the same rows are had faster together."""
        return [self.encode(example, tokenizer) for example in examples]

    def response(self, example: Example) -> str:
        """The text that the model has to write last, as it is trained."""
        match example:
            case PromptExample():
                return example.response
            case ChatExample():
                return example.messages[-1].content
            case TextExample():
                return example.text
        raise NotImplementedError(f"the encoder does not say what to learn of {type(example)}")

    def affixes(self, tokenizer: Tokenizer) -> tuple[str, str]:
        """What is trained before and behind the text of every response.

        Unless a template has more: nothing, and the end-of-sequence token.
        """
        end = tokenizer.eos_token_id
        return "", "" if end is None else tokenizer.decode([end])

    def collate(self, rows: Sequence[Encoded], layout: Layout, pad_id: int) -> Batch:
        """Lay rows out for one forward pass.

        Labels of tokens are shifted to the position that predicts them; a class stays one number
        per row.
        """
        inputs = _segments(rows) if layout is Layout.SEGMENTS else _padded(rows, pad_id)
        if self.task is Task.CLASSIFICATION:
            return Batch(inputs, _flat([row.labels for row in rows]))
        return Batch(inputs, _shifted(rows, inputs.get("attention_mask")))


def _flat(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Sequences one behind the other, int64; fast when they are arrays."""
    import numpy as np
    import torch

    return torch.from_numpy(
        np.concatenate([np.asarray(each, dtype=np.int64) for each in sequences])
    )


def _shifted(rows: Sequence[Encoded], mask: Tensor | None) -> Tensor:
    """Labels, each moved to the position that predicts it, laid out as the inputs are."""
    import torch

    labels = _flat([row.labels for row in rows]).roll(-1)
    labels[torch.tensor([len(row.labels) for row in rows]).cumsum(0) - 1] = IGNORE_INDEX
    if mask is None:
        return labels
    padded = torch.full(mask.shape, IGNORE_INDEX)
    padded[mask.bool()] = labels
    return padded


def _segments(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    import torch

    lengths = torch.tensor([len(row.input_ids) for row in rows])
    boundaries = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    tokens = _flat([row.input_ids for row in rows])
    return {
        "input_ids": tokens,
        "position_ids": torch.arange(len(tokens)) - boundaries[:-1].repeat_interleave(lengths),
        "cu_seqlens": boundaries.to(torch.int32),
    }


def _padded(rows: Sequence[Encoded], pad_id: int) -> dict[str, Tensor]:
    import torch

    lengths = torch.tensor([len(row.input_ids) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    tokens = torch.full(mask.shape, pad_id)
    tokens[mask] = _flat([row.input_ids for row in rows])
    return {"input_ids": tokens, "attention_mask": mask.long()}

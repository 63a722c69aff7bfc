"""How likely a model finds rows: the loss of each, as training measures it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from lorafw.errors import UsageError
from lorafw.inference.generation.room import context_length
from lorafw.inference.prompts import valid_text
from lorafw.types import IGNORE_INDEX, Batch, Encoded, Layout

if TYPE_CHECKING:
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle
    from lorafw.types import Example

BATCH_TOKENS = 8192
"""Most tokens, padding included, of one forward pass."""
_CHUNK = 512
"""Rows that have logits at any one time."""


@dataclass(frozen=True, slots=True)
class RowLoss:
    """The loss of one row.

    Attributes:
        loss: sum of -log p over its trained tokens, in nats.
        tokens: how many these are.
        greedy: whether each of them is the likeliest at its place.
    """

    loss: float
    tokens: int
    greedy: bool = True


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How likely a model finds some text.

    Attributes:
        loss: nats per token that counts, all of them weighing the same.
        perplexity: its exponential.
        tokens: how many tokens count.
    """

    loss: float
    perplexity: float
    tokens: int


def counted(bundle: ModelBundle, encoder: Encoder, text: str | Example) -> Encoded:
    """What counts of a text, all but its first token; or of an example, what it teaches.

    Args:
        bundle: a causal language model.
        encoder: renders examples, and cuts those that are too long.
        text: read as the tokenizer reads any text, which may put a token of its own in front.

    Raises:
        UsageError: nothing counts, or the text is longer than the model's context.
    """
    if isinstance(text, str):
        ids = bundle.tokenizer.encode(valid_text(text))
        row = Encoded(ids, ids)
    else:
        row = encoder.encode(text, bundle.tokenizer) or Encoded([], [])
    if row.targets == 0:
        raise UsageError(f"there is nothing to measure in {text!r:.60}.", mend="Leave it out.")
    if len(row.input_ids) > (context := context_length(bundle)):
        fault = f"a text has {len(row.input_ids)} tokens, the model's context is {context}."
        raise UsageError(fault, mend="Measure it in parts.")
    return row


def perplexity_of(rows: Sequence[RowLoss]) -> Perplexity:
    """The losses of rows together, token by token."""
    tokens = sum(row.tokens for row in rows)
    loss = sum(row.loss for row in rows) / tokens
    return Perplexity(loss, math.exp(min(loss, 700.0)), tokens)


@torch.no_grad()
def row_losses(
    bundle: ModelBundle,
    encoder: Encoder,
    rows: Sequence[Encoded],
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> list[RowLoss]:
    """The loss of every row, in their order, several at once.

    Args:
        bundle: a causal language model.
        encoder: lays rows out.
        rows: with at least one token each.
        batch_tokens: most tokens, padding included, in one forward pass.
    """
    device = next(bundle.module.parameters()).device
    found: list[RowLoss] = [RowLoss(0.0, 0)] * len(rows)
    for part in _parts([len(row.input_ids) for row in rows], batch_tokens):
        batch = encoder.collate([rows[at] for at in part], Layout.PADDED, bundle.pad_id)
        for at, loss in zip(part, _batch_losses(bundle, batch.to(device)), strict=True):
            found[at] = loss
    return found


def _parts(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows of like length together, the longest first."""
    part: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        if part and lengths[part[0]] * (len(part) + 1) > budget:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _batch_losses(bundle: ModelBundle, batch: Batch) -> Iterator[RowLoss]:
    trained = batch.labels != IGNORE_INDEX
    hidden = bundle.hidden(batch.inputs).rows[trained]
    losses, misses = _token_losses(bundle, hidden, batch.labels[trained])
    rows, counts = trained.nonzero()[:, 0].cpu(), trained.sum(1).tolist()
    nothing = torch.zeros(len(trained), dtype=torch.float64)
    sums, missed = (nothing.index_add(0, rows, each).tolist() for each in (losses, misses))
    for loss, count, wrong in zip(sums, counts, missed, strict=True):
        yield RowLoss(loss, count, wrong == 0)


def _token_losses(bundle: ModelBundle, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """-log p of each label, and 1 where another is likelier; fp64 [n], on the CPU.

    Only a chunk of the logits is held.
    """
    losses, misses = [labels.new_zeros(0)], [labels.new_zeros(0)]
    for rows, wanted in zip(torch.split(hidden, _CHUNK), torch.split(labels, _CHUNK), strict=True):
        logits = bundle.logits(rows).float()
        losses.append(F.cross_entropy(logits, wanted, reduction="none"))
        misses.append((logits.argmax(-1) != wanted).long())
    return torch.cat(losses).double().cpu(), torch.cat(misses).double().cpu()

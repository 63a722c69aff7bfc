"""What is remembered of a trained model, so that an export can be compared when it is gone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from lorafw.certification.precision import Precision, precision_of
from lorafw.certification.probes import Probes, probes_for
from lorafw.certification.reading import Reading, reading_of
from lorafw.contracts._sizes import numel
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.model import ModelBundle


class Facts(BaseModel):
    """What a trained model is, apart from what it computes.

    Attributes:
        words: how many tokens its tokenizer knows, added ones included.
        tied: whether embedding and head are one weight; None where there is no such head.
        precision: how its frozen weights are held.
        labels: names of its classes; empty for a language model.
        reading: what its tokenizer is; None in certificates of before that was noted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int
    tied: bool | None
    precision: Precision
    labels: tuple[str, ...] = ()
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A trained model's answers.

    Attributes:
        probes: what it was asked.
        facts: what it is.
        answers: to each row its logits, fp32 [len(row), vocab]; of a classifier [1, classes].
        alone: the last of these that the base alone gives, fp32 [vocab] for each row; empty if the
            adapter cannot be switched off.
        bytes: how large the model is in memory.
    """

    probes: Probes
    facts: Facts
    answers: Sequence[Tensor]
    alone: Sequence[Tensor]
    bytes: int


def witness_of(model: AdaptedModel, encoder: Encoder) -> Witness:
    """Ask a trained model, whose parameters are whole, and its base."""
    probes = probes_for(model.bundle, encoder)
    answers = [_logits(model.bundle, row) for row in probes.rows]
    sizes = (numel(p) * p.element_size() for p in model.bundle.module.parameters())
    return Witness(probes, _facts(model), answers, _alone(model, probes), sum(sizes))


def as_rows(logits: Tensor) -> Tensor:
    """Logits [tokens, vocab], or one row of scores [1, classes], whichever a model gives."""
    return logits if logits.ndim == 2 else logits[None]


@torch.no_grad()
def _logits(bundle: ModelBundle, row: Sequence[int]) -> Tensor:
    ids = torch.tensor([row], device=next(bundle.module.parameters()).device)
    hidden = bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    return as_rows(bundle.logits(hidden.rows[0]).float().cpu())


def _alone(model: AdaptedModel, probes: Probes) -> list[Tensor]:
    with _switched_off(model) as can_be:
        # A copy: a view of the last row would keep all rows in memory.
        return [_logits(model.bundle, row)[-1].clone() for row in probes.rows if can_be]


@contextlib.contextmanager
def _switched_off(model: AdaptedModel) -> Iterator[bool]:
    """Whether the adapter is off while open; some methods cannot be."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(model.disabled())
        except (AdapterError, NotImplementedError):
            yield False
            return
        yield True


def _facts(model: AdaptedModel) -> Facts:
    bundle = model.bundle
    words: Any = bundle.tokenizer
    return Facts(
        words=len(words),
        tied=tied_head(bundle.module),
        precision=precision_of(bundle.module, model.base_values().values()),
        labels=tuple(bundle.labels),
        reading=reading_of(bundle.tokenizer),
    )


def tied_head(module: Any) -> bool | None:
    """Whether a model's embedding and head are one weight; None where it has no such head."""
    head = getattr(module, "get_output_embeddings", lambda: None)()
    weight = getattr(head, "weight", None)
    own = getattr(module.get_input_embeddings(), "weight", None)
    if weight is None or own is None or weight.ndim != 2:
        return None
    return bool(weight.data_ptr() == own.data_ptr())

"""The classes of texts, with their probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

from lorafw.errors import UsageError
from lorafw.inference.prompts import valid_text
from lorafw.types import Encoded, LabeledExample, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle

Texts: TypeAlias = "Sequence[str | tuple[str, str]]"
"""Texts, or pairs of texts, as the model was trained with."""

_ROWS = 32


@torch.no_grad()
def probabilities(bundle: ModelBundle, encoder: Encoder, texts: Texts) -> list[dict[str, float]]:
    """The probability of each class by its name, text by text.

    Raises:
        UsageError: a text is empty, or one text is given where several are asked for.
    """
    if isinstance(texts, str):
        raise UsageError("texts must be a list of texts, not one text.", mend="Put it in a list.")
    rows = [_row(bundle, encoder, text) for text in texts]
    device = next(bundle.module.parameters()).device
    shortest_first = sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids))
    found: dict[int, list[float]] = {}
    for start in range(0, len(rows), _ROWS):
        chosen = shortest_first[start : start + _ROWS]
        batch = encoder.collate([rows[i] for i in chosen], Layout.PADDED, bundle.pad_id).to(device)
        scores = bundle.logits(bundle.hidden(batch.inputs).rows).float().softmax(-1)
        found |= zip(chosen, scores.tolist(), strict=True)
    return [dict(zip(bundle.labels, found[index], strict=True)) for index in range(len(rows))]


def _row(bundle: ModelBundle, encoder: Encoder, text: str | tuple[str, str]) -> Encoded:
    first, second = (text, None) if isinstance(text, str) else text
    if not (first or second):
        raise UsageError("there is an empty text.", mend="Leave it out.")
    for part in (first, second or ""):
        valid_text(part)
    return encoder.prompt(LabeledExample(first, second, 0), bundle.tokenizer)

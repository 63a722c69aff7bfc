"""Rows no longer than the model can read."""

from __future__ import annotations

from lorafw.contracts.encoder import Encoder
from lorafw.types import Tokenizer


def within_context(encoder: Encoder, tokenizer: Tokenizer) -> Encoder:
    """The encoder, its rows no longer than the context the tokenizer tells of."""
    context = tokenizer.model_max_length
    if encoder.max_length <= context:
        return encoder
    return encoder.model_copy(update={"max_length": context})

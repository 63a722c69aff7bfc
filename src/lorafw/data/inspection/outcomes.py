"""What an encoder makes of each example, faults included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorafw.contracts.encoder import Encoder
from lorafw.data.encoded.portion import SIZE
from lorafw.errors import LorafwError
from lorafw.types import Encoded, Example, Tokenizer

Outcome = Encoded | LorafwError | None
"""A row, what the encoder says of an example it cannot render, or None: nothing to train."""


def outcomes(
    examples: Sequence[Example], encoder: Encoder, tokenizer: Tokenizer
) -> Iterator[Outcome]:
    """One outcome per example, in their order; the rows are those that a run trains on."""
    for start in range(0, len(examples), SIZE):
        yield from _portion(examples[start : start + SIZE], encoder, tokenizer)


def _portion(
    examples: Sequence[Example], encoder: Encoder, tokenizer: Tokenizer
) -> Sequence[Outcome]:
    try:
        return encoder.encode_many(examples, tokenizer)
    except LorafwError:  # of one of them at least; which, only each on its own can tell
        return [_one(example, encoder, tokenizer) for example in examples]


def _one(example: Example, encoder: Encoder, tokenizer: Tokenizer) -> Outcome:
    try:
        return encoder.encode(example, tokenizer)
    except LorafwError as error:
        return error

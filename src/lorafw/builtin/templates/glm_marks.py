"""The special tokens that GLM models expect, found in whatever tokenizer is given."""

from __future__ import annotations

from lorafw.data.rendering.tokens import mark_id, opening_ids
from lorafw.errors import ModelError
from lorafw.types import Tokenizer

_START = ("<sop>", "sop")
"""Where the answer, or since ChatGLM2 the row, starts; the older name has no brackets."""


def start_marks(tokenizer: Tokenizer) -> tuple[int, ...]:
    """`[gMASK]` and `<sop>`, or `sop`; nothing where the tokenizer lacks one of them."""
    mask = mark_id(tokenizer, "[gMASK]")
    starts = [at for at in (mark_id(tokenizer, name) for name in _START) if at is not None]
    return (mask, starts[0]) if mask is not None and starts else ()


def needed_start_marks(tokenizer: Tokenizer) -> tuple[int, ...]:
    """`[gMASK]` and `<sop>`, or `sop`.

    Raises:
        ModelError: the tokenizer has no such tokens.
    """
    if found := start_marks(tokenizer):
        return found
    raise ModelError(
        "the tokenizer has no [gMASK] and sop: it is not a GLM's.",
        where="encoder",
        mend="Use the tokenizer of the GLM model, or another encoder: -o encoder.use=prompt.",
    )


def opening_marks(tokenizer: Tokenizer) -> tuple[int, ...]:
    """What stands in front of a row: GLM's marks, or else what the tokenizer puts there."""
    return start_marks(tokenizer) or opening_ids(tokenizer)

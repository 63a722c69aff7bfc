"""What a tokenizer is, so that the one in an export can be compared with that of training."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from lorafw.types import Tokenizer


class Reading(BaseModel):
    """A tokenizer apart from what it makes of the probes.

    Attributes:
        vocabulary: hash over every token and its id.
        end: id of the token that ends a text; None if there is none.
        template: hash of its chat template; empty if it has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: str
    end: int | None
    template: str


def reading_of(tokenizer: Tokenizer) -> Reading:
    """What a tokenizer is."""
    words: Any = tokenizer
    template = getattr(words, "chat_template", None)
    return Reading(
        vocabulary=_sha256(words.get_vocab()),
        end=tokenizer.eos_token_id,
        template=_sha256(template) if template else "",
    )


def other_reading(ours: Reading, tokenizer: Tokenizer, *, own_template: bool) -> str:
    """How a tokenizer is another one; empty if it is not.

    Args:
        ours: of the one that training had.
        tokenizer: of the export.
        own_template: its chat template is meant to be that of training, word for word.
    """
    theirs = reading_of(tokenizer)
    if ours.vocabulary != theirs.vocabulary:
        return "its tokenizer has other tokens than the trained model's."
    if ours.end != theirs.end:
        return f"its texts end with token {theirs.end}, those of training with {ours.end}."
    if own_template and ours.template != theirs.template:
        return "its chat template is not the one of training."
    return ""


def _sha256(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

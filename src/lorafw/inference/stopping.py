"""Where an answer ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.types import PromptExample

if TYPE_CHECKING:
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle


def stop_ids(bundle: ModelBundle, encoder: Encoder) -> tuple[int, ...]:
    """The ids that end an answer: the model's own, the tokenizer's, and what ended trained rows."""
    model: Any = bundle.module
    own = model.generation_config.eos_token_id
    marks = [*(own if isinstance(own, list) else [own]), bundle.tokenizer.eos_token_id]
    marks.append(_end_mark(bundle, encoder))
    return tuple(sorted({mark for mark in marks if mark is not None}))


def _end_mark(bundle: ModelBundle, encoder: Encoder) -> int | None:
    """The special token that ends a trained row, such as a chat template's end of turn."""
    if PromptExample not in encoder.accepts:
        return None
    row = encoder.encode(PromptExample("a", "a"), bundle.tokenizer)
    last = row.input_ids[-1] if row else None
    special = last is not None and not bundle.tokenizer.decode([last], skip_special_tokens=True)
    return last if special else None

"""Where an answer ends, and which wishes of a model's files are not followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.types import IGNORE_INDEX, PromptExample

if TYPE_CHECKING:
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBundle


def stop_ids(
    bundle: ModelBundle, encoder: Encoder, own: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """The ids that end an answer: the model's own, the tokenizer's, and what ended trained rows.

    Args:
        bundle: the model.
        encoder: what rendered the rows it was trained on.
        own: the model's own, if its files' wishes were dropped since they were asked for.
    """
    own = own_stop_ids(bundle) if own is None else own
    marks = {*own, bundle.tokenizer.eos_token_id, _end_mark(bundle, encoder)}
    return tuple(sorted(mark for mark in marks if mark is not None))


def own_stop_ids(bundle: ModelBundle) -> tuple[int, ...]:
    """The ids that end an answer by the model's own files."""
    model: Any = bundle.module
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return tuple(mark for mark in listed if mark is not None)


def _end_mark(bundle: ModelBundle, encoder: Encoder) -> int | None:
    """The special token that ends what a trained row teaches, such as a template's end of turn."""
    if PromptExample not in encoder.accepts:
        return None
    row = encoder.encode(PromptExample("a", "a"), bundle.tokenizer)
    trained = [label for label in row.labels if label != IGNORE_INDEX] if row else []
    decode = bundle.tokenizer.decode
    special = [token for token in trained if not decode([token], skip_special_tokens=True)]
    return special[-1] if special else None


def forget_decoding_habits(bundle: ModelBundle) -> None:
    """Drop penalties and the like that the model's files ask for: what is asked is done."""
    from transformers import GenerationConfig

    model: Any = bundle.module
    model.generation_config = GenerationConfig()

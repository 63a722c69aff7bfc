"""Which Llama a config is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def generation(config: Mapping[str, Any]) -> str:
    """`Llama 1`, `Llama 2`, `Llama 3` or `Llama 3.1 or later`; empty for other sizes.

    The generations differ in their vocabularies, contexts and rotary positions (the models' cards
    on the Hugging Face hub); many other models have the same architecture.
    """
    vocabulary, context = config.get("vocab_size"), config.get("max_position_embeddings")
    if vocabulary == 128256:
        return "Llama 3.1 or later" if _stretched(config) else "Llama 3"
    if vocabulary == 32000 and context in {2048, 4096}:
        return "Llama 1" if context == 2048 else "Llama 2"
    return ""


def _stretched(config: Mapping[str, Any]) -> bool:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return rope.get("rope_type") == "llama3"

"""The tokenizers library's own object behind a tokenizer, to get ids without a detour."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from lorafw.types import Tokenizer


def plain_backend(tokenizer: Tokenizer) -> Any:
    """What `encode` hands texts to; None where it does more than that, or would set it right."""
    backend, ours = _backend(tokenizer), cast("Any", tokenizer)
    if backend is None or backend.truncation is not None or backend.padding is not None:
        return None
    return backend if backend.encode_special_tokens == ours.split_special_tokens else None


@lru_cache(maxsize=8)
def _backend(tokenizer: Tokenizer) -> Any:
    from transformers import PreTrainedTokenizerFast

    plain = all(
        getattr(type(tokenizer), name, None) is getattr(PreTrainedTokenizerFast, name)
        for name in ("encode", "_encode_plus")
    )
    return cast("Any", tokenizer).backend_tokenizer if plain else None

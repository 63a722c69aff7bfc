"""The tokenizers library's own object behind a tokenizer, to get ids without a detour."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, cast

from lorafw.types import ADDED_TOKENS, Tokenizer


def plain_backend(tokenizer: Tokenizer) -> Any:
    """What `encode` hands texts to; None where it does more than that, or would set it right."""
    backend, ours = _backend(tokenizer), cast("Any", tokenizer)
    if backend is None or backend.truncation is not None or backend.padding is not None:
        return None
    if backend.encode_special_tokens != ours.split_special_tokens:
        return None
    return (literal_backend(tokenizer) if ours.split_special_tokens else None) or backend


@lru_cache(maxsize=8)
def literal_backend(tokenizer: Tokenizer) -> Any:
    """What reads special tokens in a text as plain text, all but those that the user added.

    None where the user added none, or there is no such object.
    """
    added = getattr(tokenizer, "init_kwargs", {}).get(ADDED_TOKENS, ())
    if not added or (backend := _backend(tokenizer)) is None:
        return None
    content = json.loads(backend.to_str())
    for token in content["added_tokens"]:
        token["special"] &= token["content"] not in added
    literal = type(backend).from_str(json.dumps(content))
    literal.encode_special_tokens = True
    return literal


@lru_cache(maxsize=8)
def _backend(tokenizer: Tokenizer) -> Any:
    from transformers import PreTrainedTokenizerFast

    plain = all(
        getattr(type(tokenizer), name, None) is getattr(PreTrainedTokenizerFast, name)
        for name in ("encode", "_encode_plus")
    )
    return cast("Any", tokenizer).backend_tokenizer if plain else None

"""What an adapter learned to read: hashes of its tokenizer and of the template of its rows."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lorafw.data.cache.part_identity import encoder_identity
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from lorafw.contracts.encoder import Encoder
    from lorafw.inference.place import Place
    from lorafw.types import Tokenizer

_LENGTHS = ("max_length", "max_prompt_length", "max_response_length", "truncate")
"""Options of an encoder that say which part of a long row was trained on, not how it reads."""


def provenance(tokenizer: Tokenizer, encoder: Encoder) -> dict[str, str]:
    """What is written down beside an adapter: `tokenizer` and `template`, each `sha256:…`."""
    return {
        "tokenizer": tokenizer_hash(tokenizer),
        "template": template_hash(encoder, tokenizer),
    }


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """Over what decides which ids a text gets, as its files say it.

    Neither the files' names and places count nor the class that transformers reads them with.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else _vocabulary(tokenizer)
    for passing in ("padding", "truncation"):  # set by whoever called it last
        rules.pop(passing, None)
    return _sha256([rules, _special_tokens(tokenizer)])


def template_hash(encoder: Encoder, tokenizer: Tokenizer) -> str:
    """Over the encoder's class and options, the files it names, and the chat template."""
    identity = encoder_identity(encoder)
    options = {key: value for key, value in identity["options"].items() if key not in _LENGTHS}
    return _sha256([identity["class"], options, tokenizer.chat_template])


def check_tokenizer(place: Place, tokenizer: Tokenizer) -> None:
    """Raise AdapterError if the adapter learned from ids of another tokenizer."""
    if place.tokenizer and place.tokenizer != tokenizer_hash(tokenizer):
        fault = "was trained with another tokenizer than the base has now."
        mend = "Put its files back, or load it all the same: strict=False (--any-base)"
        raise AdapterError(fault, where=str(place.adapter), mend=mend)


def check_template(place: Place, encoder: Encoder, tokenizer: Tokenizer) -> None:
    """Raise AdapterError if the adapter learned from rows of another template."""
    if place.template and place.template != template_hash(encoder, tokenizer):
        fault = "was trained with another template: the encoder's or the tokenizer's has changed."
        mend = "Put it back, or load it all the same: strict=False (--any-base)"
        raise AdapterError(fault, where=str(place.adapter), mend=mend)


def _vocabulary(tokenizer: Any) -> dict[str, Any]:
    """Of a tokenizer written in Python: its vocabulary, and the merges if it tells them."""
    merges = getattr(tokenizer, "bpe_ranks", None) or getattr(tokenizer, "mergeable_ranks", {})
    return {"vocabulary": tokenizer.get_vocab(), "merges": sorted(map(repr, merges.items()))}


def _special_tokens(tokenizer: Any) -> dict[str, Any]:
    named = getattr(tokenizer, "special_tokens_map", {})
    return {name: str(token) for name, token in sorted(named.items())}


def _sha256(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

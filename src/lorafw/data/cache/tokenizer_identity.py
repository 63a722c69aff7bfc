"""What a tokenizer brings to rows, whichever files it was read from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lorafw.types import ADDED_TOKENS, Tokenizer

_TOLD_IN_PYTHON = ("special_tokens_map", "chat_template", "split_special_tokens")
"""What decides about ids beside the object of the tokenizers library."""
_VOLATILE = ("name_or_path", "transformers_version", "is_local", "local_files_only")
"""What a saved configuration tells of the tokenizer's past."""


def tokenizer_identity(tokenizer: Tokenizer) -> str:
    """SHA-256, in hex, over all that decides which ids a text or a conversation gets."""
    kind = type(tokenizer)
    digest = hashlib.sha256(f"{kind.__module__}:{kind.__qualname__}".encode())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        for content in _saved(tokenizer):
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()
    digest.update(backend.to_str().encode())
    for name in _TOLD_IN_PYTHON:
        value = getattr(tokenizer, name, None)
        digest.update(json.dumps(value, sort_keys=True, default=str).encode())
    if added := getattr(tokenizer, "init_kwargs", {}).get(ADDED_TOKENS):
        digest.update(json.dumps(added).encode())
    return digest.hexdigest()


def _saved(tokenizer: Tokenizer) -> Iterator[bytes]:
    """Names and contents of the files a tokenizer writes, its past left out."""
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        for file in sorted(each for each in Path(place).rglob("*") if each.is_file()):
            yield file.name.encode()
            configures = file.name == "tokenizer_config.json"
            yield _without_past(file) if configures else file.read_bytes()


def _without_past(file: Path) -> bytes:
    values = json.loads(file.read_text(encoding="utf-8"))
    kept = {name: value for name, value in values.items() if name not in _VOLATILE}
    return json.dumps(kept, sort_keys=True).encode()

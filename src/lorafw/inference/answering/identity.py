"""What a file of answers is the answers of: the model, the input, and how it was asked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lorafw.inference.provenance import provenance

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.inference.loaded import LoadedModel


def model_facts(model: LoadedModel) -> dict[str, str]:
    """Content identities of base, adapter, tokenizer and template."""
    from lorafw.adapters.layout.digest import adapter_digest

    adapter = "" if model.adapted is None else adapter_digest(model.adapted.state())
    device = next(model.bundle.module.parameters()).device.type
    known = provenance(model.bundle.tokenizer, model.encoder)
    return {"base": model.bundle.base, "adapter": adapter, "device": device, **known}


def file_hash(path: Path) -> str:
    """`sha256:…` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

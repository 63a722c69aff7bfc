"""Which files hold the weights of an original checkpoint, and their content identity."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError
from lorafw.models import folder as folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_STEMS = ("model.safetensors", "pytorch_model.bin")
_WHOLE = 64 << 20
_STRIDE, _BLOCK = 16 << 20, 64 << 10
# Written by whoever saved the file last; they say nothing about the weights.
_VOLATILE = ("_name_or_path", "transformers_version")


def original_weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files or else the `.bin` files of the weights, in order of their names.

    Raises:
        ModelError: there are none, or one of several is missing.
    """
    for stem in _STEMS:
        if (folder / stem).exists():
            return (folder / stem,)
        if (index := folder / f"{stem}.index.json").exists():
            return _indexed(folder, index)
    mend = f"Needed: {' or '.join(_STEMS)}, or one's index.json with its parts."
    raise ModelError("there are no weights.", where=str(folder), mend=mend)


def _indexed(folder: Path, index: Path) -> tuple[Path, ...]:
    names = folders.read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise ModelError("has no 'weight_map'.", where=str(index), mend="Fetch the model again.")
    files = [folder / str(name) for name in sorted(set(map(str, names.values())))]
    for file in files:
        if not file.exists():
            fault = f"{file.name} is missing, though {index.name} names it."
            raise ModelError(fault, where=str(folder), mend="Fetch the model again.")
    return tuple(files)


def content_identity(config: Mapping[str, Any], files: Sequence[Path]) -> str:
    """The content identity of a model: `sha256:` and 64 hex digits.

    As `lorafw.models.folder.identity`, for files of either format: it covers the config and, of
    each file, its size and 64 KiB of every 16 MiB; files up to 64 MiB are read whole.
    """
    stable = {key: value for key, value in config.items() if key not in _VOLATILE}
    digest = hashlib.sha256(json.dumps(stable, sort_keys=True).encode())
    for file in files:
        for block in _samples(file):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    yield size.to_bytes(8, "little")
    with file.open("rb") as stream:
        if size <= _WHOLE:
            yield stream.read()
            return
        for start in range(0, size, _STRIDE):
            stream.seek(start)
            yield stream.read(_BLOCK)

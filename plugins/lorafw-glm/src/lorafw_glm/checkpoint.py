"""Which files hold the weights of an original checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import ModelError
from lorafw.models import folder as folders

if TYPE_CHECKING:
    from pathlib import Path

_STEMS = ("model.safetensors", "pytorch_model.bin")


def original_weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files or else the `.bin` files of the weights, in order of their names.

    Raises:
        ModelError: there are none, or one of several is missing.
    """
    for stem in _STEMS:
        if (folder / stem).exists():
            return (folder / stem,)
        if (index := folder / f"{stem}.index.json").exists():
            return folders.indexed_files(index)
    mend = f"Needed: {' or '.join(_STEMS)}, or one's index.json with its parts."
    raise ModelError("there are no weights.", where=str(folder), mend=mend)

"""Weights as a model's files hold them, found by module and read one at a time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from lorafw.models import folder as folders
from lorafw.models.headers import Stored, stored_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_FLOATS = {"F64", "F32", "F16", "BF16"}


class StoredWeights:
    """The files of a base model; only what is asked for is read.

    Args:
        folder: of the base, with its weights in safetensors.

    Raises:
        ModelError: there are no such files, or one is damaged.
    """

    def __init__(self, folder: Path) -> None:
        files = folders.weight_files(folder)
        self.tensors: dict[Path, dict[str, Stored]] = {
            file: stored_tensors([file]) for file in files
        }

    def place(self, module: str) -> tuple[Path, str] | None:
        """The file that holds a module's weight as floats, and its name in there.

        The files' names may lack the first parts of the module's, as GPT-2's lack `transformer.`.
        """
        parts = [*module.split("."), "weight"]
        for name in (".".join(parts[start:]) for start in range(len(parts) - 1)):
            if (file := self._places.get(name)) is not None:
                return file, name
        return None

    def weight(self, module: str) -> Tensor | None:
        """A module's weight, in the shape and dtype of the file; None if it is not there."""
        from safetensors import safe_open

        if (place := self.place(module)) is None:
            return None
        with safe_open(place[0], framework="pt") as opened:
            found: Tensor = opened.get_tensor(place[1])
        return found

    @cached_property
    def _places(self) -> dict[str, Path]:
        return {
            name: file
            for file, stored in self.tensors.items()
            for name, tensor in stored.items()
            if tensor.dtype in _FLOATS
        }

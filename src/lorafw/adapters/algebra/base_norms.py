"""How large the weights of a base model are, read from its files one block of rows at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from lorafw.errors import AdapterError
from lorafw.models import folder as folders
from lorafw.models.stored_weights import StoredWeights

if TYPE_CHECKING:
    from lorafw.adapters.layout.adapter_folder import AdapterFolder

ROWS = 4096
"""Rows of a weight in memory at a time."""


class BaseNorms:
    """The files of a base model; only what is asked for is read.

    Args:
        folder: of the base, with its weights in safetensors.

    Raises:
        ModelError: there are no such files, or one is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._weights = StoredWeights(folder)

    @property
    def parameters(self) -> int:
        """Numbers in the files; a tied weight is stored, and counted, once."""
        files = self._weights.tensors.values()
        return sum(tensor.numbers for stored in files for tensor in stored.values())

    def norm(self, module: str) -> float | None:
        """Frobenius norm of a module's weight; None if no float tensor goes by its name."""
        place = self._weights.place(module)
        return None if place is None else _norm(*place)


def _norm(file: Path, name: str) -> float:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        rows = opened.get_slice(name)
        starts = range(0, rows.get_shape()[0], ROWS)
        return math.hypot(*(float(rows[at : at + ROWS].double().norm()) for at in starts))


def given_base(adapter: AdapterFolder, path: str) -> BaseNorms:
    """The base in a folder that a user names.

    Raises:
        AdapterError: it is another one than the adapter's.
        ModelError: there is no such folder, or its weights cannot be read.
    """
    folder = folders.resolve(path)
    if adapter.base and adapter.base != (found := folders.identity(folder)):
        fault = f"was trained on the base model {adapter.base}, this one is {found}."
        raise AdapterError(fault, where=str(adapter.path), mend="Name the other one: --base PATH")
    return BaseNorms(folder)


def noted_base(adapter: AdapterFolder) -> BaseNorms | None:
    """The base that an adapter was trained on, if it is still where it was; nothing is fetched.

    None too where its files are no safetensors.

    Raises:
        ModelError: its files are damaged.
    """
    folder = _local(adapter.base_path)
    if folder is None or not _readable(folder):
        return None
    if adapter.base and adapter.base != folders.identity(folder):
        return None
    return BaseNorms(folder)


def _local(path: str) -> Path | None:
    if path == folders.DEMO:
        return folders.resolve(path)
    found = Path(path).expanduser()
    return found if path and found.is_dir() else None


def _readable(folder: Path) -> bool:
    names = ("model.safetensors", "model.safetensors.index.json")
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in names)

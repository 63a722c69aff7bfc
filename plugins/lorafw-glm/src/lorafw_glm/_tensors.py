"""The tensors of safetensors and `.bin` files, one at a time, from memory-mapped files."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lorafw.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_AGAIN = "The file is damaged or cut off; fetch it again."


def stored_tensors(files: Iterable[Path]) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of everything in some files, file after file.

    A tensor may be a view of its file: copy what is kept.

    Raises:
        ModelError: a file is damaged, is a pickle of more than tensors, or repeats a name.
    """
    seen: set[str] = set()
    for file in files:
        for name, tensor in _read(file):
            if name in seen:
                raise ModelError(f"{name} is there for the second time.", where=str(file))
            seen.add(name)
            yield name, tensor
            del tensor  # or it would live on while the next one is read


def _read(file: Path) -> Iterator[tuple[str, Tensor]]:
    return _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)


def _safetensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - it is no mapping
                yield name, stored.get_tensor(name)
    except (SafetensorError, OSError) as error:
        fault = f"cannot be read: {error}."
        raise ModelError(fault, where=str(file), mend=_AGAIN) from None


def _pickled(file: Path) -> Iterator[tuple[str, Tensor]]:
    stored = _unpickled(file)
    if not isinstance(stored, dict) or not all(isinstance(t, Tensor) for t in stored.values()):
        raise ModelError("holds more than named tensors.", where=str(file), mend=_AGAIN)
    while stored:
        name = next(iter(stored))
        yield str(name), stored.pop(name)


def _unpickled(file: Path) -> Any:
    try:
        whole = zipfile.is_zipfile(file)  # what torch has written since 1.6, and what can be mapped
        return torch.load(file, map_location="cpu", weights_only=True, mmap=whole)
    except Exception as error:  # what damage makes of torch's readers is of a dozen classes
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ModelError:
    if isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error):
        fault = "is a pickle that holds more than tensors; it could run code, and was not opened."
        return ModelError(fault, where=str(file), mend="Fetch the safetensors files.")
    if isinstance(error, PermissionError):
        return ModelError(f"cannot be read: {error.strerror}.", where=str(file))
    return ModelError("cannot be read as a file of tensors.", where=str(file), mend=_AGAIN)

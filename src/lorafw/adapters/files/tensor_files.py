"""Files of named tensors that may be pickles: opened for plain tensors only, and written."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""
_MOST = 16 << 20
"""Bytes of names that are looked at."""
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF"
"""How files begin that torch wrote before its version 1.6."""


def names_inside(path: Path) -> bytes:
    """The part of a file that holds its tensors' names, as it is; empty if it is no such file.

    Nothing is unpickled, and torch is not imported.
    """
    try:
        if path.suffix == ".safetensors":
            return _safetensors_header(path)
        if zipfile.is_zipfile(path):
            return _pickle_in_archive(path)
        with path.open("rb") as stream:
            start = stream.read(len(_LEGACY))
            return stream.read(1 << 20) if start == _LEGACY else b""
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return b""  # whatever it is, it is not what was looked for; reading it says what is wrong


def _safetensors_header(path: Path) -> bytes:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return stream.read(min(length, _MOST))


def _pickle_in_archive(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        tables = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not tables:
            return b""
        with archive.open(tables[0]) as stream:
            return stream.read(_MOST)


def plain_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors file or a pickle, mapped into memory where possible.

    Names lose the prefixes of wrappers such as DistributedDataParallel.

    Raises:
        AdapterError: the file is missing, cut off or damaged, or holds more than plain tensors.
    """
    from torch import Tensor

    content = _safetensors(path) if path.suffix == ".safetensors" else _unpickled(path)
    if not isinstance(content, dict):
        raise AdapterError(f"holds a {type(content).__name__}, not named tensors.", where=str(path))
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            fault = f"{name!r} in it is a {type(value).__name__}, not a tensor."
            mend = "Is it a training checkpoint? Give the file of the weights alone."
            raise AdapterError(fault, where=str(path), mend=mend)
    return _unwrapped(content)


def write_pickle(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Write named tensors as torch does; each is stored whole and on its own."""
    import torch

    torch.save({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, path)
    return path


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _unwrapped({name[len(prefix) :]: t for name, t in tensors.items()})
    return dict(tensors)


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _unpickled(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            # Of a pickle that torch did not write, which is refused or read all the same.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            mapped = zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        mend = "lorafw opens no pickles that could run code; save a state dict of tensors."
        raise AdapterError("holds more than plain tensors.", where=str(path), mend=mend) from None
    except Exception as error:  # noqa: BLE001 - what damaged bytes make torch raise has no bounds
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> AdapterError:
    if isinstance(error, OSError) and error.strerror:
        return AdapterError(f"cannot be read: {error.strerror}.", where=str(path))
    what = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    mend = "It is damaged or cut off; fetch it again."
    return AdapterError(f"cannot be read: {what.rstrip('.')}.", where=str(path), mend=mend)

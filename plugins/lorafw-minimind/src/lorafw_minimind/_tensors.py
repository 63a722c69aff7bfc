"""Plain tensors from `.pth`, `.bin` and safetensors files, with one clear error each."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lorafw.errors import LorafwError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# Tables that older code kept among its weights; they follow from the config.
_TABLES = {"mask", "pos_cis", "freqs_cis", "freqs_cos", "freqs_sin"}
# What DistributedDataParallel and torch.compile put before every name.
_WRAPPERS = ("module.", "_orig_mod.")


def read_tensors(files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of some files together, under the names they have there.

    Names lose the prefixes of wrappers, and tables such as causal masks are left out.

    Raises:
        ModelError: a file is cut off, damaged, or holds more than plain tensors.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= plain_tensors(file, ModelError)
    return {name: t for name, t in tensors.items() if name.rpartition(".")[2] not in _TABLES}


def plain_tensors(file: Path, fault: type[LorafwError]) -> dict[str, Tensor]:
    """The named tensors of one file, mapped into memory rather than read where that is possible.

    Raises:
        LorafwError: of the type `fault`; the file is cut off, damaged, or holds something else.
    """
    safe = file.suffix == ".safetensors"
    content = _safetensors(file, fault) if safe else _unpickled(file, fault)
    if not isinstance(content, dict):
        raise fault(f"holds a {type(content).__name__}, not named tensors.", where=str(file))
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            mend = "Is it a training checkpoint? Give the file of the weights alone."
            kind = type(value).__name__
            raise fault(f"{name!r} in it is a {kind}, not a tensor.", where=str(file), mend=mend)
    return _unwrapped(content)


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _unwrapped({name[len(prefix) :]: t for name, t in tensors.items()})
    return dict(tensors)


def _safetensors(file: Path, fault: type[LorafwError]) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise _damaged(file, fault, error) from None


def _unpickled(file: Path, fault: type[LorafwError]) -> Any:
    try:
        with warnings.catch_warnings():
            # Of a pickle that torch.save did not write, which is refused or read all the same.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            mapped = zipfile.is_zipfile(file)
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        mend = "lorafw opens no pickles that could run code; save a state dict of tensors."
        what = f"holds more than plain tensors: {_refusal(error).rstrip('.')}."
        raise fault(what, where=str(file), mend=mend) from None
    except Exception as error:  # noqa: BLE001 - what damaged bytes make torch raise has no bounds
        raise _damaged(file, fault, error) from None


def _refusal(error: Exception) -> str:
    """What the loader would not take, out of its advice on how to take it nonetheless."""
    lines = (line.rpartition("error: ")[2].strip() for line in str(error).splitlines())
    found = (line for line in lines if "unsupported global" in line.lower())
    return next((line.partition(". ")[0] for line in found), "not as torch.save writes them")


def _damaged(file: Path, fault: type[LorafwError], error: Exception) -> LorafwError:
    what = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    mend = "It is damaged or cut off; fetch it again."
    return fault(f"cannot be read: {what.rstrip('.')}.", where=str(file), mend=mend)

"""Tensors in safetensors files that were read back before they count as written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_files import sync_file, sync_folder
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write a safetensors file under a temporary name, read it back, and rename it.

    Args:
        path: the final name.
        tensors: by name; none may share memory with another.
        metadata: text for the file's header; `{"format": "pt"}` if not given, which is what
            transformers and PEFT ask for.

    Returns:
        The digest of each tensor, as `tensor_digest` gives it.

    Raises:
        ExportError: what was read back is not, bit for bit, what was written.
    """
    from safetensors.torch import save_file

    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    digests = {name: tensor_digest(tensor) for name, tensor in whole.items()}
    temporary = path.with_name(f".{path.name}.new")
    try:
        save_file(whole, temporary, metadata=dict(metadata or {"format": "pt"}))
        sync_file(temporary)
        if stored_digests(temporary) != digests:
            raise ExportError(
                "what was read back is not what was written.",
                where=str(path),
                mend="The disk or its file system is at fault; write somewhere else.",
            )
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return digests


def stored_digests(path: Path) -> dict[str, str]:
    """The digest of each tensor of a safetensors file; one tensor in memory at a time."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: tensor_digest(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 over dtype, shape and bytes: equal exactly when two tensors are bit-equal."""
    import torch

    whole = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{whole.dtype} {list(whole.shape)} ".encode())
    digest.update(whole.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

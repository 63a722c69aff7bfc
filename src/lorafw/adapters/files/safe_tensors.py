"""Tensors in safetensors files that were read back before they count as written."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lorafw.adapters.files.safe_files import sync_file, sync_folder
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

    import torch
    from torch import Tensor

_LENGTH, _PIECE = 8, 1 << 22
"""Bytes that say how long the header is, and bytes that are read at once."""


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
    """The digest of each tensor of a safetensors file; a few megabytes in memory at a time.

    The file is read, not mapped: pages of a mapped file count as memory of this process.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:  # checks the header
        names = list(opened.keys())
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        header = json.loads(file.read(length))
        return {name: _stored_digest(file, header[name], _LENGTH + length) for name in names}


def _stored_digest(file: BinaryIO, entry: Mapping[str, Any], start: int) -> str:
    begin, end = entry["data_offsets"]
    digest = hashlib.sha256(f"{_torch_name(entry['dtype'])} {entry['shape']} ".encode())
    file.seek(start + begin)
    left = end - begin
    while left and (piece := file.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def _torch_name(dtype: str) -> str:
    """What torch calls a dtype of the format; the format's own name if torch has none."""
    return next((str(ours) for ours, theirs in dtype_names().items() if theirs == dtype), dtype)


def dtype_names() -> dict[torch.dtype, str]:
    """What safetensors files call the dtypes they can hold."""
    import torch

    return {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
        torch.uint16: "U16",
        torch.uint32: "U32",
        torch.uint64: "U64",
        torch.float8_e4m3fn: "F8_E4M3",
        torch.float8_e5m2: "F8_E5M2",
    }


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 over dtype, shape and bytes: equal exactly when two tensors are bit-equal."""
    import torch

    whole = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{whole.dtype} {list(whole.shape)} ".encode())
    digest.update(whole.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

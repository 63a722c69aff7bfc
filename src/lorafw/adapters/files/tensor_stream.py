"""A safetensors file written one tensor at a time, so that memory holds no more than one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from lorafw.adapters.files.safe_files import sync_file, sync_folder
from lorafw.adapters.files.safe_tensors import dtype_names, stored_digests, tensor_digest
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_ROOM = 1 << 18
"""Bytes kept free for the header, which comes first but is known last; it is filled with blanks,
as the format allows. Some two thousand names fit."""

_LENGTH = 8


class TensorStream:
    """One file under a temporary name, until `finish` has read it back.

    Args:
        path: the final name.

    Attributes:
        size: bytes of tensors written so far.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.new")
        self._header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        self._digests: dict[str, str] = {}
        self.size = 0
        with self._temporary.open("wb") as file:
            file.write(b"\0" * (_LENGTH + _ROOM))

    def takes(self, name: str, tensor: Tensor) -> bool:
        """Whether there is room for one more name, and the tensor's values come to lie evenly."""
        entry = self._entry(tensor)
        length = len(_encoded({**self._header, name: entry}))
        return length <= _ROOM and self.size % tensor.element_size() == 0

    def add(self, name: str, tensor: Tensor) -> None:
        """Write one tensor behind those before it.

        Raises:
            ExportError: safetensors has no such dtype.
        """
        if tensor.dtype not in dtype_names():
            raise ExportError(f"{name} is {tensor.dtype}, which safetensors files cannot hold.")
        whole = tensor.detach().cpu().contiguous()
        self._header[name] = self._entry(whole)
        self._digests[name] = tensor_digest(whole)
        with self._temporary.open("ab") as file:
            file.write(whole.reshape(-1).view(torch.uint8).numpy().data)
        self.size += whole.nbytes

    def finish(self) -> None:
        """Write the header, read every tensor back, and give the file its name.

        Raises:
            ExportError: what was read back is not, bit for bit, what was written.
        """
        with self._temporary.open("r+b") as file:
            file.write(_ROOM.to_bytes(_LENGTH, "little"))
            file.write(_encoded(self._header).ljust(_ROOM))
        sync_file(self._temporary)
        if stored_digests(self._temporary) != self._digests:
            raise ExportError(
                "what was read back is not what was written.",
                where=str(self._path),
                mend="The disk or its file system is at fault; write somewhere else.",
            )
        self._temporary.rename(self._path)
        sync_folder(self._path.parent)

    def _entry(self, tensor: Tensor) -> dict[str, object]:
        return {
            "dtype": dtype_names().get(tensor.dtype, ""),
            "shape": list(tensor.shape),
            "data_offsets": [self.size, self.size + tensor.nbytes],
        }


def _encoded(header: dict[str, object]) -> bytes:
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()

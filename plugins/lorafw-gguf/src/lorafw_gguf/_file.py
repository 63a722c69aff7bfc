"""A GGUF file whose tensors are written one by one, in any order, and read back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from lorafw.errors import ExportError
from lorafw_gguf._encoding import encoded, encoded_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gguf import GGMLQuantizationType as Kind
    from torch import Tensor

_AGAIN = "The disk or its file system is at fault; write somewhere else."
_CHUNK = 2**22


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one tensor.

    Attributes:
        shape: as PyTorch gives it.
        kind: how its numbers are written.
    """

    shape: tuple[int, ...]
    kind: Kind

    @property
    def size(self) -> int:
        """Bytes of the numbers."""
        return encoded_bytes(self.shape, self.kind)


class GgufFile:
    """Writes one file; memory holds a few megabytes of one tensor at a time.

    Args:
        path: where it goes.
        header: a writer with every key and value, and without tensors.
        slots: all tensors there will be, by llama.cpp's name.
    """

    def __init__(self, path: Path, header: gguf.GGUFWriter, slots: Mapping[str, Slot]) -> None:
        self._path, self._slots = path, dict(slots)
        self._values = {key: value.value for key, value in header.kv_data[0].items()}
        self._digests: dict[str, bytes] = {}
        for name, slot in slots.items():
            plain = np.dtype(np.float32)
            header.add_tensor_info(name, slot.shape, plain, slot.size, raw_dtype=slot.kind)
        header.write_header_to_file(path)
        header.write_kv_data_to_file()
        header.write_ti_data_to_file()
        header.close()
        self._offsets, self._end = _laid_out(path.stat().st_size, slots)
        self._file = path.open("r+b")
        self._file.truncate(self._end)

    def add(self, name: str, tensor: Tensor) -> None:
        """Write one tensor at its place.

        Raises:
            ExportError: there is no place for it, it was there before, its shape is another, or a
                number is not finite.
        """
        slot = self._slots.get(name)
        if slot is None or name in self._digests or slot.shape != tuple(tensor.shape):
            raise ExportError(f"{name} of shape {tuple(tensor.shape)} has no place in the file.")
        self._file.seek(self._offsets[name])
        digest = hashlib.sha256()
        for part in encoded(name, tensor, slot.kind):
            self._file.write(part.data)
            digest.update(part.data)
        self._digests[name] = digest.digest()

    def finish(self) -> None:
        """Close the file, and read it back with the `gguf` package's reader.

        Raises:
            ExportError: a tensor was never written, or a key, a tensor's place or its bytes differ.
        """
        self._file.close()
        if missing := self._slots.keys() - self._digests.keys():
            raise ExportError(f"the model has no {min(missing)}, which llama.cpp needs.")
        reader = gguf.GGUFReader(self._path)
        self._compare_keys(reader)
        found = {tensor.name: tensor for tensor in reader.tensors}
        if found.keys() != self._slots.keys():
            raise self._differs("its list of tensors")
        with self._path.open("rb") as file:
            for name, slot in self._slots.items():
                tensor = found[name]
                shape = tuple(int(size) for size in reversed(tensor.shape))
                file.seek(int(tensor.data_offset))
                same = (shape, tensor.tensor_type) == (slot.shape, slot.kind)
                if not same or _digest(file, slot.size) != self._digests[name]:
                    raise self._differs(name)

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _compare_keys(self, reader: gguf.GGUFReader) -> None:
        for key, value in self._values.items():
            field = reader.get_field(key)
            if field is None or not _same(field.contents(), value):
                raise self._differs(key)

    def _differs(self, what: str) -> ExportError:
        return ExportError(
            f"{what} read back is not what was written.", where=self._path.name, mend=_AGAIN
        )


def _laid_out(header: int, slots: Mapping[str, Slot]) -> tuple[dict[str, int], int]:
    """Where each tensor begins, and where the file ends; as the format pads them."""
    pad, offsets = gguf.GGUFWriter.ggml_pad, dict[str, int]()
    at = pad(header, gguf.GGUF_DEFAULT_ALIGNMENT)
    for name, slot in slots.items():
        offsets[name] = at
        at += pad(slot.size, gguf.GGUF_DEFAULT_ALIGNMENT)
    return offsets, at


def _digest(file: Any, size: int) -> bytes:
    digest = hashlib.sha256()
    while size > 0:
        part = file.read(min(size, _CHUNK))
        if not part:
            break
        digest.update(part)
        size -= len(part)
    return digest.digest()


def _same(found: Any, written: Any) -> bool:
    if isinstance(written, float):
        return bool(np.float32(found) == np.float32(written))
    if isinstance(written, list) and written and isinstance(written[0], float):
        return bool(np.array_equal(np.asarray(found, np.float32), np.asarray(written, np.float32)))
    return bool(found == written)

"""Weights as one or several safetensors files, named and indexed as transformers expects them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lorafw.adapters.safe_files import sync_folder, write_json
from lorafw.adapters.safe_tensors import write_tensors
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor


class ShardWriter:
    """Takes tensors one at a time and writes a file whenever the next would make it too large.

    Every file is read back and compared, tensor by tensor, before it counts as written.

    Args:
        folder: an existing folder.
        max_bytes: most bytes of tensors in one file; a larger tensor gets a file of its own.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._waiting: dict[str, Tensor] = {}
        self._waiting_bytes = 0
        self._shards: list[Path] = []
        self._shard_of: dict[str, int] = {}
        self._bytes_of: Counter[torch.dtype] = Counter()

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a copy of one tensor.

        Raises:
            ExportError: the name was there before, or a file differs when read back.
        """
        if name in self._shard_of:
            raise ExportError(f"{name} comes twice.", where=str(self._folder))
        if self._waiting and self._waiting_bytes + tensor.nbytes > self._max_bytes:
            self._flush()
        # A copy of its own: tied weights share memory, which safetensors refuses.
        self._waiting[name] = tensor.detach().to("cpu", copy=True).contiguous()
        self._waiting_bytes += tensor.nbytes
        self._shard_of[name] = len(self._shards)
        self._bytes_of[tensor.dtype] += tensor.nbytes

    def finish(self) -> None:
        """Write what is left, give every file its final name, and write the index.

        Raises:
            ExportError: there was no tensor, or a file differs when read back.
        """
        self._flush()
        count = len(self._shards)
        if count == 0:
            raise ExportError("the model has no weights.", where=str(self._folder))
        names = [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
        names = names if count > 1 else ["model.safetensors"]
        for shard, name in zip(self._shards, names, strict=True):
            shard.rename(self._folder / name)
        sync_folder(self._folder)
        if count > 1:
            self._write_index(names)

    @property
    def main_dtype(self) -> torch.dtype:
        """The dtype most bytes have, of floating-point tensors if there are any."""
        floating = {d: n for d, n in self._bytes_of.items() if d.is_floating_point}
        counts = floating or self._bytes_of
        return max(counts, key=lambda dtype: counts[dtype])

    def _flush(self) -> None:
        if self._waiting:
            path = self._folder / f"shard-{len(self._shards):05d}.safetensors"
            write_tensors(path, self._waiting)
            self._shards.append(path)
        self._waiting, self._waiting_bytes = {}, 0

    def _write_index(self, names: list[str]) -> None:
        index = {
            "metadata": {"total_size": self._bytes_of.total()},
            "weight_map": {name: names[shard] for name, shard in self._shard_of.items()},
        }
        write_json(self._folder / "model.safetensors.index.json", index)

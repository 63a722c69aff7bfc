"""Weights as one or several safetensors files, named and indexed as transformers expects them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_files import sync_folder, write_json
from lorafw.adapters.files.tensor_stream import TensorStream
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor


class ShardWriter:
    """Writes tensors one at a time, and begins another file when the next would make it too large.

    Memory holds one tensor. Every file is read back and compared before it counts as written.

    Args:
        folder: an existing folder.
        max_bytes: most bytes of tensors in one file; a larger tensor gets a file of its own.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._open: TensorStream | None = None
        self._shards: list[Path] = []
        self._shard_of: dict[str, int] = {}
        self._bytes_of: Counter[torch.dtype] = Counter()

    def add(self, name: str, tensor: Tensor) -> None:
        """Write one tensor.

        Raises:
            ExportError: the name was there before, or a file differs when read back.
        """
        if name in self._shard_of:
            raise ExportError(f"{name} comes twice.", where=str(self._folder))
        self._stream_for(name, tensor).add(name, tensor)
        self._shard_of[name] = len(self._shards) - 1
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

    def _stream_for(self, name: str, tensor: Tensor) -> TensorStream:
        stream = self._open
        fits = stream is not None and stream.size + tensor.nbytes <= self._max_bytes
        if stream is None or not fits or not stream.takes(name, tensor):
            self._flush()
            path = self._folder / f"shard-{len(self._shards):05d}.safetensors"
            stream = self._open = TensorStream(path)
            self._shards.append(path)
        return stream

    def _flush(self) -> None:
        if self._open is not None:
            self._open.finish()
        self._open = None

    def _write_index(self, names: list[str]) -> None:
        index = {
            "metadata": {"total_size": self._bytes_of.total()},
            "weight_map": {name: names[shard] for name, shard in self._shard_of.items()},
        }
        write_json(self._folder / "model.safetensors.index.json", index)

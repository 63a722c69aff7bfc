"""Tensors on disk, found by a digest and read by mapping: they take no memory worth the name."""

from __future__ import annotations

import errno
import mmap
import shutil
import tempfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Size, Tensor


class RowFile:
    """A file without a name that grows by one tensor at a time, all of one dtype.

    It is gone when it is closed, or when the process ends, however it ends. Each tensor begins at
    a page of its own and is mapped by itself, so a digest and a place are all that memory holds.

    Args:
        folder: on whose disk the file lies; made if it is not there.
        spare: bytes of that disk which are left free.
        complain: is told, once, why nothing more is kept.
    """

    def __init__(self, folder: Path, spare: int, complain: Callable[[str], None]) -> None:
        self._folder, self._spare, self._complain = folder, spare, complain
        self._places: dict[bytes, int] = {}
        self._end, self._growing = 0, True
        self._dtype: torch.dtype | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed below

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close, and so remove, the file; tensors that were read stay as they are."""
        self._file.close()
        self._places.clear()

    def __contains__(self, key: bytes) -> bool:
        """Whether a tensor was kept under this digest."""
        return key in self._places

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self._places)

    def add(self, key: bytes, tensor: Tensor) -> None:
        """Keep a tensor, unless there is no room for it or an earlier one found none."""
        if not self._growing:
            return
        self._dtype = self._dtype or tensor.dtype
        assert tensor.dtype is self._dtype
        data = tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data
        try:
            self._require_room(len(data))
            self._write(data)
        except OSError as error:
            self._growing = False
            self._complain(error.strerror or str(error))
            return
        self._places[key] = self._end
        self._end += -(-len(data) // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY

    def read(self, key: bytes, shape: Size) -> Tensor:
        """A kept tensor, on the CPU; what is written into it changes nothing that is kept."""
        assert self._dtype is not None
        size = prod(shape) * self._dtype.itemsize
        place = self._places[key]
        pages = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_COPY, offset=place)
        return torch.frombuffer(pages, dtype=self._dtype).view(shape)

    def _require_room(self, size: int) -> None:
        if shutil.disk_usage(self._folder).free - size < self._spare:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _write(self, data: memoryview) -> None:
        self._file.seek(self._end)
        while data:
            data = data[self._file.write(data) :]

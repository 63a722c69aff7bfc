"""What safetensors files hold, told by their headers alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorafw.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LONGEST = 100_000_000
"""Bytes beyond which safetensors itself takes no header for one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file.

    Attributes:
        dtype: as the format names it, such as `BF16`.
        shape: its sizes.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def stored_tensors(files: Iterable[Path]) -> dict[str, Stored]:
    """The tensors of safetensors files, by name; no tensor is read.

    Raises:
        ModelError: a file is cut off, or is something else.
    """
    return {name: stored for file in files for name, stored in _tensors(file).items()}


def _tensors(file: Path) -> dict[str, Stored]:
    header, start = _header(file)
    try:
        entries = {name: e for name, e in header.items() if name != "__metadata__"}
        end = max((int(e["data_offsets"][1]) for e in entries.values()), default=0)
        tensors = {name: Stored(e["dtype"], tuple(e["shape"])) for name, e in entries.items()}
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ModelError("its header is damaged.", where=str(file), mend=_AGAIN) from error
    if (size := file.stat().st_size) != start + end:
        fault = f"the file is cut off: {size:,} of {start + end:,} bytes are there."
        if size > start + end:
            fault = f"the file is damaged: it holds {size:,} bytes, its header {start + end:,}."
        raise ModelError(fault, where=str(file), mend=_AGAIN)
    return tensors


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header and where the tensors start."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(8)
        length = int.from_bytes(first, "little")
        if first == b"version ":
            fault, mend = "this is a pointer of Git LFS, no weights.", "Run: git lfs pull"
            raise ModelError(fault, where=str(file), mend=mend)
        if not 2 <= length <= _LONGEST:
            raise ModelError("this is no safetensors file.", where=str(file), mend=_AGAIN)
        if size < 8 + length:
            raise ModelError("the file is cut off within its header.", where=str(file), mend=_AGAIN)
        raw = stream.read(length)
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise ModelError("this is no safetensors file.", where=str(file), mend=_AGAIN) from error
    if not isinstance(header, dict):
        raise ModelError("this is no safetensors file.", where=str(file), mend=_AGAIN)
    return header, 8 + length


_AGAIN = "Fetch it again."

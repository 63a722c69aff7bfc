"""How large a tensor is, wherever its numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_NOTED = "ds_numel"
"""ZeRO-3 empties what it has partitioned, and notes the size here; others that do so follow it."""


def note_numel(tensor: Tensor, size: int) -> None:
    """Remember the size of a tensor that is about to hold a piece of itself."""
    setattr(tensor, _NOTED, size)


def numel(tensor: Tensor) -> int:
    """How many numbers a tensor has in all."""
    return int(getattr(tensor, _NOTED, tensor.numel()))

"""Several mappings of tensors as one, to be kept under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def packed(**groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mappings by group, as `group/name`."""
    return {f"{group}/{name}": t for group, each in groups.items() for name, t in each.items()}


def unpacked(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """One group of what `packed` made."""
    start = f"{group}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}

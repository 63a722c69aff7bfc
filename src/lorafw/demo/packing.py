"""Packing of whole documents into windows of equal length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["IGNORED", "Window", "collate", "pack"]

IGNORED = -100


@dataclass(slots=True)
class Window:
    """Documents side by side; positions start anew with each, which keeps attention inside it."""

    tokens: list[int]
    positions: list[int]

    def __len__(self) -> int:
        return len(self.tokens)

    def append(self, document: Sequence[int]) -> None:
        """Put a document behind the others."""
        self.tokens.extend(document)
        self.positions.extend(range(len(document)))

    def fill(self, length: int, pad: int) -> None:
        """Pad to the length; every pad is a document of its own, and so is never predicted."""
        missing = length - len(self)
        self.tokens.extend([pad] * missing)
        self.positions.extend([0] * missing)


def pack(documents: Iterable[Sequence[int]], length: int, pad: int) -> Iterator[Window]:
    """Fill windows with whole documents in the order given; the unfinished last one is left out."""
    window = Window([], [])
    for document in documents:
        if len(document) > length:
            raise ValueError(f"a document of {len(document)} tokens exceeds a window of {length}")
        if len(window) + len(document) > length:
            window.fill(length, pad)
            yield window
            window = Window([], [])
        window.append(document)


def collate(windows: Sequence[Window]) -> dict[str, torch.Tensor]:
    """Stack windows into a batch that predicts every token but the first of each document."""
    tokens = torch.tensor([window.tokens for window in windows])
    positions = torch.tensor([window.positions for window in windows])
    labels = tokens.masked_fill(positions == 0, IGNORED)
    return {"input_ids": tokens, "position_ids": positions, "labels": labels}

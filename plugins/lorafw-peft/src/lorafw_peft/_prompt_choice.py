"""Some of the virtual tokens: which stand before rows, in which order, and which of them learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers of rows of the table of virtual tokens.

    Attributes:
        tokens: int64, [count] for every row of a batch alike, or [rows, count].
        learning: bool [all]: those that get gradients; None for all.
    """

    tokens: Tensor
    learning: Tensor | None

    @classmethod
    def of(cls, tokens: Tensor, learning: Tensor | None, count: int) -> Choice:
        """A choice from so many.

        Raises:
            AdapterError: there is no token of one of these numbers, or the shape says nothing.
        """
        if tokens.ndim not in (1, 2):
            fault = f"numbers of virtual tokens have the shape {list(tokens.shape)}."
            raise AdapterError(fault, mend="Give [count], or [rows, count].")
        _check_numbers(tokens, count)
        if learning is None:
            return cls(tokens, None)
        _check_numbers(learning, count)
        marks = torch.zeros(count, dtype=torch.bool, device=tokens.device)
        return cls(tokens, marks.index_fill(0, learning.flatten().to(tokens.device), value=True))

    @property
    def count(self) -> int:
        """How many stand before each row."""
        return self.tokens.shape[-1]

    @property
    def is_common(self) -> bool:
        """Whether they are the same for every row."""
        return self.tokens.ndim == 1

    def from_table(self, table: Tensor) -> Tensor:
        """The chosen of [all, width]: [count, width] or [rows, count, width]."""
        tokens = self.tokens.to(table.device)
        if self.learning is None:
            return table[tokens]
        learning = self.learning.to(table.device)[:, None]
        return torch.where(learning, table, table.detach())[tokens]


def _check_numbers(tokens: Tensor, count: int) -> None:
    if not tokens.numel():
        return
    least, most = (int(number) for number in tokens.aminmax())
    if least < 0 or most >= count:
        fault = f"there is no virtual token {least if least < 0 else most}."
        raise AdapterError(fault, mend=f"There are {count}, from 0 on.")

"""A pool of prompts with keys in one table of virtual tokens, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session, Steer, Task
    from lorafw.types import Example

TABLE = "prompt_embeddings"
"""The canonical name of the table of virtual tokens, which is PEFT's."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts side by side in the table, each behind its key.

    Attributes:
        size: M, how many prompts there are.
        length: L_p, the tokens of each.
        chosen: N, how many of them stand before a row.
    """

    size: int
    length: int
    chosen: int

    @property
    def prompts(self) -> Tensor:
        """The tokens of all prompts, without the keys: int64 [M · L_p]."""
        return self.tokens_of(torch.arange(self.size))

    def tokens_of(self, prompts: Tensor) -> Tensor:
        """The tokens of some prompts, one prompt after another: [..., k] to [..., k · L_p]."""
        behind = torch.arange(1, self.length + 1, device=prompts.device)
        return (prompts[..., None] * (self.length + 1) + behind).flatten(-2)

    def keys(self, table: Tensor) -> Tensor:
        """The keys in a table [M · (L_p + 1), width]: [M, width]."""
        return table[:: self.length + 1]

    def nearest(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The N keys that are nearest by the cosine, the nearest first.

        Args:
            queries: [rows, width].
            keys: [M, width].

        Returns:
            Their cosines and their numbers, [rows, N] both.
        """
        cosines = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T
        numbers = cosines.argsort(dim=1, descending=True, stable=True)[:, : self.chosen]
        return cosines.gather(1, numbers), numbers

    def steer(self, session: Session, task: Task) -> Steer:
        """Puts before each row of a task the prompts that are nearest to it."""
        keys = self.keys(session.values()[TABLE])

        @contextmanager
        def steered(example: Example) -> Iterator[Example]:
            query = session.embed([session.prompt(task, example)])
            _, numbers = self.nearest(query, keys)
            with session.model.showing(self.tokens_of(numbers[0])):
                yield example

        return steered

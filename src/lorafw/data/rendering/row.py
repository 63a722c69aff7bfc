"""A row on its way from text to `Encoded`: what the model is given, and what it has to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from lorafw.data.rendering.segments import Part
from lorafw.types import IGNORE_INDEX, Encoded


@dataclass(frozen=True, slots=True)
class Laid:
    """A segment as token ids.

    Attributes:
        ids: its tokens.
        part: what it is, which says when truncation may take it.
        trained: the model learns to write it.
    """

    ids: list[int]
    part: Part
    trained: bool = False

    @property
    def labels(self) -> list[int]:
        """The ids where they are trained, `IGNORE_INDEX` elsewhere."""
        return self.ids if self.trained else [IGNORE_INDEX] * len(self.ids)


@dataclass(frozen=True, slots=True)
class Row:
    """A context and the answer to it, whose border is known by position.

    Attributes:
        context: what the model is given.
        answer: what it has to write.
        cut: how many tokens truncation removed.
    """

    context: Sequence[Laid]
    answer: Sequence[Laid]
    cut: int = 0

    def __len__(self) -> int:
        """How many tokens it has."""
        return length(self.context) + length(self.answer)

    def encoded(self) -> Encoded | None:
        """The whole row, or None when it has nothing to train."""
        laid = (*self.context, *self.answer)
        labels = list(chain.from_iterable(each.labels for each in laid))
        encoded = Encoded(_ids(laid), labels, self.cut)
        return encoded if encoded.targets else None

    def prompt(self) -> Encoded:
        """What the model is given, with nothing to train."""
        ids = _ids(self.context)
        return Encoded(ids, [IGNORE_INDEX] * len(ids), self.cut)


def _ids(laid: Sequence[Laid]) -> list[int]:
    return list(chain.from_iterable(each.ids for each in laid))


def length(laid: Sequence[Laid]) -> int:
    """How many tokens some segments have."""
    return sum(len(each.ids) for each in laid)

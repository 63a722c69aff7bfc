"""A row on its way from text to `Encoded`: an opening, a context and an answer."""

from __future__ import annotations

from dataclasses import dataclass

from lorafw.types import IGNORE_INDEX, Encoded


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids whose parts are known by position.

    Attributes:
        ids: opening, context and answer, one behind the other.
        labels: as in `Encoded`.
        answer: where the answer begins; all before it is what the model is given.
        opening: how many tokens in front (BOS) belong to every row and are never cut.
        cut: how many tokens truncation removed.
    """

    ids: list[int]
    labels: list[int]
    answer: int
    opening: int = 0
    cut: int = 0

    def encoded(self) -> Encoded | None:
        """The whole row, or None when it has nothing to train."""
        encoded = Encoded(self.ids, self.labels, self.cut)
        return encoded if encoded.targets else None

    def prompt(self) -> Encoded:
        """What comes before the answer, with nothing to train."""
        return Encoded(self.ids[: self.answer], [IGNORE_INDEX] * self.answer, self.cut)

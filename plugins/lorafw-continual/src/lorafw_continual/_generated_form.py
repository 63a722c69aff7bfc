"""Rows as texts that are to be generated, prompt and answer, and such texts as rows again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lorafw.data.encoded.packed import RowsInParts, lengths_of
from lorafw.types import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorafw.types import Tokenizer


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of one task are written to be generated: mark, prompt, separator, answer.

    Attributes:
        mark: ids of a text with the task's name; what follows is generated.
        separator: ids between prompt and answer.
        longest: most ids of a row; the prompts of longer ones are cut on the left.
    """

    mark: tuple[int, ...]
    separator: tuple[int, ...]
    longest: int

    @classmethod
    def of(cls, name: str, between: str, tokenizer: Tokenizer) -> Form:
        """The form of a task of this name, with a text between prompt and answer."""
        mark, separator = (
            tuple(tokenizer.encode(text, add_special_tokens=False))
            for text in (f"__{name}__", between)
        )
        return cls(mark, separator, tokenizer.model_max_length)

    def written(self, row: Encoded) -> Encoded:
        """A row to be generated: all behind the mark is trained."""
        prompt, answer = parted(row)
        text = [*prompt, *self.separator, *answer][-(self.longest - len(self.mark)) :]
        return Encoded([*self.mark, *text], [IGNORE_INDEX] * len(self.mark) + text)

    def read(self, drawn: Sequence[int], end: int) -> Encoded | None:
        """What was generated behind the mark, as a row; None if it is none.

        A row has one separator with something on both sides, and its answer comes to an end.

        Args:
            drawn: ids.
            end: the id that ends an answer; what is behind it does not count.
        """
        at = _place(drawn, self.separator)
        if at is None:
            return None
        prompt, rest = list(drawn[:at]), list(drawn[at + len(self.separator) :])
        answer = rest[: rest.index(end) + 1] if end in rest else []
        if not prompt or len(answer) < 2 or _place(answer, self.separator) is not None:
            return None
        return Encoded(prompt + answer, [IGNORE_INDEX] * len(prompt) + answer)


class WrittenRows(RowsInParts):
    """Rows of a task in the form they are generated in, each made when it is asked for."""

    def __init__(self, rows: Sequence[Encoded], form: Form) -> None:
        self._rows, self._form = rows, form
        super().__init__([len(rows)])

    def row(self, part: int, index: int) -> Encoded:
        """One row."""
        del part
        return self._form.written(self._rows[index])

    def __iter__(self) -> Iterator[Encoded]:
        return map(self._form.written, self._rows)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row; none is made for it."""
        form, lengths = self._form, np.asarray(lengths_of(self._rows), np.int32)
        added = len(form.mark) + len(form.separator)
        return np.minimum(lengths + added, min(form.longest, np.iinfo(np.int32).max)).astype(
            np.int32
        )


def parted(row: Encoded) -> tuple[list[int], list[int]]:
    """The ids before the first that is trained, and the others."""
    labels = row.labels
    start = next((at for at, label in enumerate(labels) if label != IGNORE_INDEX), len(labels))
    ids = list(row.input_ids)
    return ids[:start], ids[start:]


def end_of(rows: Sequence[Encoded]) -> int:
    """The id that ends rows: the last one of most of them."""
    (found, _), *_ = Counter(row.input_ids[-1] for row in rows).most_common(1)
    return int(found)


def _place(ids: Sequence[int], part: Sequence[int]) -> int | None:
    """Where a part begins for the first time."""
    starts = range(len(ids) - len(part) + 1)
    return next((at for at in starts if tuple(ids[at : at + len(part)]) == tuple(part)), None)

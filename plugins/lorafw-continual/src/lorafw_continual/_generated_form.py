"""Rows as texts that are to be generated, prompt and answer, and such texts as rows again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lorafw.data.encoded.packed import RowsInParts, lengths_of
from lorafw.errors import CompositionError
from lorafw.types import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorafw.types import Tokenizer


_SHORTEST = 3
"""Ids of the shortest row that can be read again: one of a prompt, and an answer with its end."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of one task are written to be generated: mark, prompt, separator, answer.

    Attributes:
        mark: ids of a text with the task's name; what follows is generated.
        separator: ids between prompt and answer.
        longest: most ids of a row. Of a longer one the prompt is cut on the left, and where an id
            is all that is left of it, the answer.
    """

    mark: tuple[int, ...]
    separator: tuple[int, ...]
    longest: int

    @classmethod
    def of(cls, name: str, between: str, tokenizer: Tokenizer, longest: int) -> Form:
        """The form of a task of this name, with a text between prompt and answer.

        Raises:
            CompositionError: rows of at most `longest` ids have no room for mark and separator.
        """
        mark, separator = (
            tuple(tokenizer.encode(text, add_special_tokens=False))
            for text in (f"__{name}__", between)
        )
        found = cls(mark, separator, longest)
        if found.room < _SHORTEST:
            frame = f"its mark takes {len(mark)} and scenario.separator {len(separator)}"
            fault = f"rows of at most {longest} tokens are too short to be generated: {frame}."
            wanted = longest - found.room + _SHORTEST
            mend = f"Allow {wanted} (encoder.max_length), or shorten them."
            raise CompositionError(fault, where=f"task {name}", mend=mend)
        return found

    @property
    def room(self) -> int:
        """Most ids of prompt and answer together."""
        return self.longest - len(self.mark) - len(self.separator)

    def written(self, row: Encoded) -> Encoded:
        """A row to be generated: all behind the mark is trained."""
        prompt, answer = parted(row)
        answer = answer[1 - self.room :]
        text = [*prompt[len(answer) - self.room :], *self.separator, *answer]
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


def check_rows(name: str, rows: Sequence[Encoded]) -> None:
    """Refuse rows that are no prompt with one answer behind it: they could not be read again.

    Args:
        name: of their task.
        rows: all of them are looked at.

    Raises:
        CompositionError: there is such a row.
    """
    for number, row in enumerate(rows, start=1):
        fault, mend = _fault(np.asarray(row.labels) != IGNORE_INDEX)
        if fault:
            fault = f"row {number} of {len(rows)} {fault}: lfpt5 needs a prompt and one answer."
            raise CompositionError(fault, where=f"task {name}", mend=mend)


def _fault(trained: NDArray[np.bool_]) -> tuple[str, str]:
    """What is wrong with a row, given where it is trained, and the mend; empty if nothing is."""
    edges = np.flatnonzero(np.diff(trained, append=False))
    if trained[:1].any():
        return "is trained from its start on", "Set encoder.train_on: response"
    if len(edges) > 2:  # where it begins, and where it ends
        return "is trained in several places", "Set encoder.train_on: last"
    if len(edges) and not trained[-1]:
        return "goes on behind what is trained", "Choose another encoder."
    return "", ""


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

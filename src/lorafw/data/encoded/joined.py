"""Rows of several sources, one source behind the other, and some rows of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lorafw.data.encoded.packed import RowsInParts, lengths_of
from lorafw.types import Encoded


class JoinedRows(RowsInParts):
    """All rows of each part in turn; none is copied, none is read before it is asked for.

    Args:
        parts: the sources, in order; any may be empty.
    """

    def __init__(self, parts: Sequence[Sequence[Encoded]]) -> None:
        self.parts = tuple(parts)
        super().__init__(map(len, self.parts))

    def row(self, part: int, index: int) -> Encoded:
        """A row of a source."""
        return self.parts[part][index]

    def __iter__(self) -> Iterator[Encoded]:
        return chain.from_iterable(self.parts)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row; no row is read for it whose source knows."""
        lengths = [np.asarray(lengths_of(part), np.int32) for part in self.parts]
        return np.concatenate([np.empty(0, np.int32), *lengths])


class ChosenRows(RowsInParts):
    """Some rows of a source, read when they are asked for.

    Args:
        rows: the source.
        chosen: indices of rows; one that is there twice comes twice.
    """

    def __init__(self, rows: Sequence[Encoded], chosen: Sequence[int]) -> None:
        self.rows, self.chosen = rows, chosen
        super().__init__([len(chosen)])

    def row(self, part: int, index: int) -> Encoded:
        """One of the chosen rows."""
        del part
        return self.rows[self.chosen[index]]

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row; no row is read for it whose source knows."""
        lengths: NDArray[np.int32] = np.asarray(lengths_of(self.rows), np.int32)[list(self.chosen)]
        return lengths

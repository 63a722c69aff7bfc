"""Rows of several sources, one source behind the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lorafw.data.encoded.packed import MeasuredRows, lengths_of
from lorafw.types import Encoded


class JoinedRows(MeasuredRows):
    """All rows of each part in turn; none is copied, none is read before it is asked for.

    Args:
        parts: the sources, in order; any may be empty.
    """

    def __init__(self, parts: Sequence[Sequence[Encoded]]) -> None:
        self.parts = tuple(parts)
        self._ends = list(accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        part, at = self.place(index)
        return self.parts[part][at]

    def __iter__(self) -> Iterator[Encoded]:
        return chain.from_iterable(self.parts)

    def place(self, index: int) -> tuple[int, int]:
        """Which part a row is of, and its index there.

        Raises:
            IndexError: there is no such row.
        """
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, at)
        return part, at - self._ends[part] + len(self.parts[part])

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row; no row is read for it whose source knows."""
        lengths = [np.asarray(lengths_of(part), np.int32) for part in self.parts]
        return np.concatenate([np.empty(0, np.int32), *lengths])

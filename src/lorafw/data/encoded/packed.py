"""Encoded rows in Arrow columns: ids end to end, labels as the stretches that are trained."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lorafw.types import IGNORE_INDEX, Encoded

_LIST = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [("input_ids", _LIST), ("trained", _LIST), ("labels", _LIST), ("cut", pa.int32())]
)
"""`trained` holds [start, stop) pairs of positions whose label is the token itself. Rows with
other labels, such as a class, have them in `labels`, and null in `trained`."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of integers, one behind the other.

    Attributes:
        values: int32, all lists end to end.
        offsets: int32 [lists + 1], where each begins, and where the last one ends.
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int32]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Lists:
        """Lists laid end to end; raises OverflowError for a number that needs over 32 bits."""
        flat = array("i")
        for each in lists:
            flat.extend(each)
        ends = accumulate(map(len, lists), initial=0)
        return cls(np.frombuffer(flat, np.int32), np.fromiter(ends, np.int32, len(lists) + 1))

    @classmethod
    def from_arrow(cls, column: Any) -> Lists:
        """Views of a list column's buffers; nothing is copied."""
        return cls(column.values.to_numpy(), column.offsets.to_numpy())

    def arrow(self) -> Any:
        """The lists as an Arrow array."""
        return pa.ListArray.from_arrays(self.offsets, self.values, type=_LIST)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Length of every list."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]


def pack(rows: Sequence[Encoded]) -> Any:
    """A few rows as one record batch of `SCHEMA`."""
    ids = Lists.of([row.input_ids for row in rows])
    labels = Lists.of([row.labels for row in rows])
    trained = _trained(ids, labels)
    nothing = pa.nulls(len(rows), _LIST)
    said = (trained.arrow(), nothing) if trained else (nothing, labels.arrow())
    cuts = pa.array([row.cut for row in rows], pa.int32())
    return pa.record_batch([ids.arrow(), *said, cuts], schema=SCHEMA)


def _trained(ids: Lists, labels: Lists) -> Lists | None:
    """Start and stop of every stretch of labels in each row; None if a label is no token's own."""
    if not np.array_equal(ids.offsets, labels.offsets):
        return None
    on = labels.values != IGNORE_INDEX
    if not np.array_equal(ids.values[on], labels.values[on]):
        return None
    before, after = np.append(False, on[:-1]), np.append(on[1:], False)
    filled = np.flatnonzero(ids.lengths)
    before[ids.offsets[filled]] = False
    after[ids.offsets[filled + 1] - 1] = False
    starts, stops = np.flatnonzero(on & ~before), np.flatnonzero(on & ~after) + 1
    row = np.searchsorted(ids.offsets, starts, side="right") - 1
    edges = (np.stack([starts, stops], axis=1) - ids.offsets[row][:, None]).astype(np.int32)
    counts = np.bincount(row, minlength=len(ids.offsets) - 1)
    return Lists(edges.ravel(), np.append(0, 2 * counts.cumsum()).astype(np.int32))


class Block:
    """Rows of one record batch, as views of its buffers."""

    def __init__(self, batch: Any) -> None:
        ids, trained, labels, cuts = batch.columns
        self.ids = Lists.from_arrow(ids)
        self._runs = None if trained.null_count else Lists.from_arrow(trained)
        self._labels = Lists.from_arrow(labels)
        self._cuts: NDArray[np.int32] = cuts.to_numpy()

    def __len__(self) -> int:
        return len(self._cuts)

    def row(self, index: int) -> Encoded:
        """One row, its numbers copied into arrays of 4-byte integers."""
        ids = self.ids[index]
        labels = self._labels[index] if self._runs is None else _expanded(ids, self._runs[index])
        return Encoded(_compact(ids), _compact(labels), int(self._cuts[index]))

    def labels(self) -> Lists:
        """The labels of all rows."""
        if self._runs is None:
            return self._labels
        edges = self._runs.values.reshape(-1, 2)
        first = np.repeat(self.ids.offsets[:-1], self._runs.lengths // 2)
        steps = np.zeros(len(self.ids.values) + 1, np.int32)
        np.add.at(steps, edges[:, 0] + first, 1)
        np.subtract.at(steps, edges[:, 1] + first, 1)
        on = steps[:-1].cumsum() > 0
        return Lists(np.where(on, self.ids.values, np.int32(IGNORE_INDEX)), self.ids.offsets)


def _expanded(ids: NDArray[np.int32], runs: NDArray[np.int32]) -> NDArray[np.int32]:
    labels = np.full(len(ids), IGNORE_INDEX, np.int32)
    for start, stop in runs.reshape(-1, 2).tolist():
        labels[start:stop] = ids[start:stop]
    return labels


def _compact(values: NDArray[np.int32]) -> array[int]:
    numbers = array("i")
    numbers.frombytes(values.tobytes())
    return numbers


class MeasuredRows(Sequence[Encoded]):
    """Rows that know how long each of them is, without being read."""

    @property
    @abstractmethod
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row."""


class RowsInParts(MeasuredRows):
    """Rows of several parts, one part behind the other.

    Args:
        sizes: how many rows each part has, in order; may be none.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self._ends = list(accumulate(sizes, initial=0))

    @abstractmethod
    def row(self, part: int, index: int) -> Encoded:
        """A row of a part, by its index there."""

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return self.row(*self.place(index))

    def place(self, index: int) -> tuple[int, int]:
        """Which part a row is of, and its index there.

        Raises:
            IndexError: there is no such row.
        """
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, at) - 1
        return part, at - self._ends[part]


class PackedRows(RowsInParts):
    """Rows that stay in Arrow columns, in memory or in a mapped file, until one is asked for."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._blocks = [Block(batch) for batch in batches]
        super().__init__(map(len, self._blocks))

    def row(self, part: int, index: int) -> Encoded:
        """A row of a record batch."""
        return self._blocks[part].row(index)

    def __iter__(self) -> Iterator[Encoded]:
        return (block.row(index) for block in self._blocks for index in range(len(block)))

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of every row; no row is read for it."""
        lengths = [block.ids.lengths for block in self._blocks]
        return np.concatenate([np.empty(0, np.int32), *lengths])


def lengths_of(rows: Sequence[Encoded]) -> list[int]:
    """Tokens of every row, without reading rows that know."""
    if isinstance(rows, MeasuredRows):
        lengths: list[int] = rows.lengths.tolist()
        return lengths
    return [len(row.input_ids) for row in rows]

"""Rows of several data sets as one, read when they are asked for."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from lorafw.types import Encoded


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a data set.

    Attributes:
        rows: the data set.
        chosen: indices of rows; one that is there twice is trained twice.
    """

    rows: Sequence[Encoded]
    chosen: Sequence[int]


class JoinedRows(Sequence["Encoded"]):
    """Parts of data sets, one behind the other."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = [part for part in parts if part.chosen]
        self._ends = list(accumulate(len(part.chosen) for part in self._parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, at)
        part = self._parts[number]
        return part.rows[part.chosen[at - self._ends[number] + len(part.chosen)]]


def whole(rows: Sequence[Encoded], times: int = 1) -> Part:
    """Every row of a data set, as often as asked for."""
    everyone = range(len(rows))
    return Part(rows, everyone if times == 1 else [*everyone] * times)


def sample(rows: Sequence[Encoded], count: int, *seeds: object) -> Part:
    """At most `count` different rows, each subset as likely as another, in the data set's order.

    That is what a reservoir holds after all rows went by (Vitter 1985, algorithm R).

    Args:
        rows: a data set.
        count: how many rows.
        seeds: all that the choice depends on: numbers and names.
    """
    chance = random.Random(" ".join(str(seed) for seed in seeds))
    return Part(rows, sorted(chance.sample(range(len(rows)), min(count, len(rows)))))


def joined(*parts: Part) -> JoinedRows:
    """Parts one behind the other."""
    return JoinedRows(parts)

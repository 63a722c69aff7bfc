"""Which rows are trained at which step, on which rank, in which micro-batch: a pure function."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorafw.types import Layout

_MASK = (1 << 64) - 1


@functools.lru_cache(maxsize=2)
def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of range(count) that depends on (seed, epoch) alone.

    Rows are sorted by a SplitMix64 hash of their index (Steele, Lea and Flood 2014), so the order
    is the same with every version of every library, and a run resumes from an integer.
    """
    start = _mix(np.array([(seed * 0x9E3779B97F4A7C15 + epoch + 1) & _MASK], dtype=np.uint64))
    keys = _mix(np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start)
    order = np.argsort(keys, kind="stable")
    order.flags.writeable = False  # every step of the epoch is handed this one
    return order


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows of one forward pass; a filler keeps ranks in step and trains nothing."""

    rows: tuple[int, ...]
    filler: bool = False


@dataclass(frozen=True)
class BatchPlan:
    """Cuts an epoch into global batches, and those into micro-batches for every rank.

    Attributes:
        lengths: tokens of every row.
        global_batch_size: rows per optimizer step; the last step of an epoch may have fewer.
        budget: most tokens in a micro-batch; padding counts under `Layout.PADDED`.
        fixed: every epoch has the global batches of the first one, in another order.
    """

    lengths: Sequence[int]
    global_batch_size: int
    budget: int
    layout: Layout
    seed: int
    fixed: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the rows."""
        return -(-len(self.lengths) // self.global_batch_size)

    def rows_of(self, step: int) -> list[int]:
        """The rows of one optimizer step."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if self.fixed and epoch:
            epoch, index = 0, int(shuffled(self.steps_per_epoch, self.seed, epoch)[index])
        order = shuffled(len(self.lengths), self.seed, epoch)
        start = index * self.global_batch_size
        return [int(row) for row in order[start : start + self.global_batch_size]]

    def step(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """The micro-batches of one rank; every rank gets the same number of them."""
        return self._for_rank(self.rows_of(step), rank, world_size)

    def sweep(self, rank: int, world_size: int) -> list[MicroBatch]:
        """All rows once, in no particular order, shared among the ranks (for evaluation)."""
        return self._for_rank(range(len(self.lengths)), rank, world_size)

    def _for_rank(self, rows: Sequence[int], rank: int, world_size: int) -> list[MicroBatch]:
        shares = [self._cut(share) for share in self._balance(rows, world_size)]
        count = max(len(share) for share in shares)
        mine = [MicroBatch(tuple(batch)) for batch in shares[rank]]
        shortest = min(rows, key=lambda row: (self.lengths[row], row))
        return mine + [MicroBatch((shortest,), filler=True)] * (count - len(mine))

    def _balance(self, rows: Sequence[int], world_size: int) -> list[list[int]]:
        """Longest row first, each to the rank with the fewest tokens so far."""
        shares: list[list[int]] = [[] for _ in range(world_size)]
        tokens = [0] * world_size
        for row in self._longest_first(rows):
            rank = tokens.index(min(tokens))
            shares[rank].append(row)
            tokens[rank] += self.lengths[row]
        return shares

    def _longest_first(self, rows: Sequence[int]) -> list[int]:
        return sorted(rows, key=lambda row: (-self.lengths[row], row))

    def _cut(self, rows: Sequence[int]) -> list[list[int]]:
        """Next fit, rows longest first: rows of like length together, time in step with rows."""
        batches: list[list[int]] = []
        for row in rows:
            if batches and self._cost([*batches[-1], row]) <= self.budget:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def _cost(self, rows: Sequence[int]) -> int:
        return cost_of([self.lengths[row] for row in rows], self.layout)


def cost_of(lengths: Sequence[int], layout: Layout) -> int:
    """Tokens in a micro-batch of rows of these lengths; padding counts where there is some."""
    return max(lengths) * len(lengths) if layout is Layout.PADDED else sum(lengths)

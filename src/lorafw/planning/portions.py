"""What a plan cuts the rows into: steps, micro-batches, padding, and the largest of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lorafw.contracts.plan import TrainPlan
from lorafw.training.batches import BatchPlan, MicroBatch
from lorafw.types import Layout

SEEN = 16_000
"""Rows that are looked at: more would take longer than the answer is worth."""


@dataclass(frozen=True, slots=True)
class Portions:
    """How a run is cut.

    Attributes:
        steps: optimizer steps.
        tokens: tokens of all of them, padding not counted, and
        cells: padding counted.
        micro_batches: forward passes of a rank in one step, on average.
        padding: share of a layout's cells that hold no token.
        padding_if_padded: what it would be if rows were padded.
        largest: rows of the micro-batch with most cells.
        largest_cells: how many those are.
        seen: steps that these figures are from.
    """

    steps: int
    tokens: int
    cells: int
    micro_batches: float
    padding: float
    padding_if_padded: float
    largest: tuple[int, ...]
    largest_cells: int
    seen: int


def portions(
    lengths: Sequence[int], plan: TrainPlan, layout: Layout, seed: int, world_size: int
) -> Portions:
    """Cut the rows as the loop would; of many steps, only the first are looked at.

    Args:
        lengths: tokens of every training row.
        plan: with batch size and budget.
        layout: of the run.
        seed: of the run.
        world_size: ranks.
    """
    batches = _cut(lengths, plan, layout, seed)
    whole = plan.epochs * batches.steps_per_epoch
    steps = min(whole, plan.max_steps or whole)
    seen = min(steps, max(1, SEEN // plan.global_batch_size), batches.steps_per_epoch)
    parts = [list(_parts(batches, step, world_size)) for step in range(seen)]
    every = [part.rows for step in parts for part in step]
    asked = [*every, *_longest(lengths, plan)]
    largest = max(asked, key=lambda rows: _order(rows, lengths, layout))
    padded = _cut(lengths, plan, Layout.PADDED, seed)
    if_padded = [p.rows for step in range(seen) for p in _parts(padded, step, world_size)]
    real = sum(lengths[row] for rows in every for row in rows)
    cells = sum(_cells(rows, lengths, layout) for rows in every)
    return Portions(
        steps=steps,
        tokens=round(real / seen * steps),
        cells=round(cells / seen * steps),
        micro_batches=len(every) / seen / world_size,
        padding=1 - real / cells,
        padding_if_padded=1 - real / sum(_cells(r, lengths, Layout.PADDED) for r in if_padded),
        largest=largest,
        largest_cells=_cells(largest, lengths, layout),
        seen=seen,
    )


def _cut(lengths: Sequence[int], plan: TrainPlan, layout: Layout, seed: int) -> BatchPlan:
    return BatchPlan(lengths, plan.global_batch_size, plan.token_budget, layout, seed)


def _parts(batches: BatchPlan, step: int, world_size: int) -> Iterator[MicroBatch]:
    """The micro-batches of all ranks that train something."""
    for rank in range(world_size):
        yield from (part for part in batches.step(step, rank, world_size) if not part.filler)


def _longest(lengths: Sequence[int], plan: TrainPlan) -> Iterator[tuple[int, ...]]:
    """The longest row alone, where it is in no step that was looked at and goes alone anyway."""
    row = max(range(len(lengths)), key=lengths.__getitem__)
    yield from islice([(row,)], int(lengths[row] > plan.token_budget // 2))


def _order(rows: Sequence[int], lengths: Sequence[int], layout: Layout) -> tuple[int, int]:
    return _cells(rows, lengths, layout), max(lengths[row] for row in rows)


def _cells(rows: Sequence[int], lengths: Sequence[int], layout: Layout) -> int:
    found = [lengths[row] for row in rows]
    return max(found) * len(found) if layout is Layout.PADDED else sum(found)

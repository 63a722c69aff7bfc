"""What a plan cuts the rows of several tasks into, one task trained after another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from lorafw.contracts.plan import TrainPlan
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.packed import lengths_of
from lorafw.planning.portions import Portions, portions
from lorafw.types import Layout


def task_portions(
    rows: JoinedRows,
    epochs: Sequence[int],
    plan: TrainPlan,
    layout: Layout,
    seed: int,
    world_size: int,
) -> Portions:
    """Cut each task's rows as the loop would, and add up what comes of it.

    Args:
        rows: of all tasks, a part for each.
        epochs: of each task.
        plan: the run's; its epochs are passed over.
        layout: of the run.
        seed: of the run.
        world_size: ranks.
    """
    plans = [plan.model_copy(update={"epochs": count}) for count in epochs]
    each = [
        portions(lengths_of(part), own, layout, seed, world_size)
        for part, own in zip(rows.parts, plans, strict=True)
    ]
    return _added(each, list(accumulate(map(len, rows.parts), initial=0)))


def _added(each: Sequence[Portions], starts: Sequence[int]) -> Portions:
    """One after another; `starts` is where each one's rows begin among all."""
    steps, tokens = sum(one.steps for one in each), sum(one.tokens for one in each)
    cells = sum(one.cells for one in each)
    padded = sum(one.tokens / (1 - one.padding_if_padded) for one in each)
    number = max(range(len(each)), key=lambda at: each[at].largest_cells)
    return Portions(
        steps=steps,
        tokens=tokens,
        cells=cells,
        micro_batches=sum(one.micro_batches * one.steps for one in each) / steps,
        padding=1 - tokens / cells,
        padding_if_padded=1 - tokens / padded,
        largest=tuple(starts[number] + row for row in each[number].largest),
        largest_cells=each[number].largest_cells,
        seen=sum(one.seen for one in each),
    )

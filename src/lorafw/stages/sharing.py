"""Work on many things shared among ranks, in groups that are the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

from lorafw.contracts.trainer import RunningTrainer

T = TypeVar("T")
R = TypeVar("R")


def shared(
    running: RunningTrainer, things: Sequence[T], size: int, work: Callable[[Sequence[T]], list[R]]
) -> list[R]:
    """What `work` makes of each thing, in their order, the same on every rank; collective.

    Args:
        running: the ranks, which take turns.
        things: the same on every rank.
        size: of a group; company changes the last bits, so it must not hang on the ranks.
        work: given a group, one result for each of it.
    """
    groups = [things[start : start + size] for start in range(0, len(things), size)]
    world = running.world
    mine = [work(group) for group in groups[world.rank :: world.world_size]]
    found = running.gather(mine)
    in_order = (found[at % len(found)][at // len(found)] for at in range(len(groups)))
    return list(chain.from_iterable(in_order))

"""Rows of several tasks as one, and samples of a task's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorafw.data.encoded.joined import ChosenRows, JoinedRows
    from lorafw.types import Encoded


def sample(rows: Sequence[Encoded], count: int, *seeds: object) -> ChosenRows:
    """At most `count` different rows, each subset as likely as another, in the data set's order.

    That is what a reservoir holds after all rows went by (Vitter 1985, algorithm R).

    Args:
        rows: a data set.
        count: how many rows.
        seeds: all that the choice depends on: numbers and names.
    """
    from lorafw.data.encoded.joined import ChosenRows  # slow to import

    chance = random.Random(" ".join(str(seed) for seed in seeds))
    return ChosenRows(rows, sorted(chance.sample(range(len(rows)), min(count, len(rows)))))


def joined(*parts: Sequence[Encoded]) -> JoinedRows:
    """Parts one behind the other."""
    from lorafw.data.encoded.joined import JoinedRows  # slow to import

    return JoinedRows(parts)

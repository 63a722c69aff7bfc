"""What is compared: every trainer in all its ways, and how its global batches may be cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from lorafw.types import Layout


@dataclass(frozen=True, slots=True)
class Part:
    """A trainer or an injector with its options.

    Attributes:
        label: what the report calls it.
        name: what it is found by.
        options: as in a config.
    """

    label: str
    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One run that is compared.

    Attributes:
        trainer, injector: labels of parts.
        ranks: how many processes.
        layout: how rows share a micro-batch.
        budget: most tokens of a micro-batch; 1 for every row on its own.
    """

    trainer: str
    ranks: int
    injector: str
    layout: str
    budget: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def cuts(
    injectors: Sequence[Part], layouts: Sequence[Layout], budgets: Sequence[int]
) -> list[tuple[Part, Layout, int]]:
    """As few combinations as have every pair of two choices in at least one of them.

    Greedy: whatever has most pairs that no combination before it had comes next.
    """
    every = list(product(injectors, layouts, budgets))
    missing = {pair for cut in every for pair in _pairs(cut)}
    chosen: list[tuple[Part, Layout, int]] = []
    while missing:
        best = max(every, key=lambda cut: len(missing & set(_pairs(cut))))
        chosen.append(best)
        missing -= set(_pairs(best))
    return chosen


def _pairs(cut: tuple[Part, Layout, int]) -> Iterator[tuple[str, str, str]]:
    injector, layout, budget = cut
    yield "injector, layout", injector.label, layout.value
    yield "injector, budget", injector.label, str(budget)
    yield "layout, budget", layout.value, str(budget)

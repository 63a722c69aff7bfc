"""Journeys: runs that are killed again and again, at moments that a seed draws."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.equivalence.cases import ENGINES
from tests.kills.runs import STEPS, Place, Zygote

SEED = os.environ.get("LORAFW_KILLS_SEED", "1")
USUAL, ALL = 12, 120
"""Journeys in the default suite, and in the session `kills`: with 20 and 200 kills in all."""
_KILLS = (1, 2, 2)
"""Kills of one journey after the other; every third one goes on elsewhere after each."""
DROPOUT = 0.1
"""Of a journey that stays where it began; dropped numbers depend on who draws them."""

_ANYWHERE = (
    "before a step",
    "before an update",
    "after an update",
    "in a file of tensors",
    "between the files",
    "before the rename",
    "after the rename",
    "in pruning",
    "after pruning",
)
_ONCE = ("in the export", "before the record")
_RESUMING = ("while reading", "while loading")
_TOGETHER = "in the all-reduce"
"""Moments that `tests.kills.moments` knows, whose import would take its time here."""


@dataclass
class Whole:
    """Uninterrupted runs, made when they are asked for."""

    zygote: Zygote
    folder: Path
    core: dict[tuple[Place, float], float] = field(default_factory=dict)

    def at(self, place: Place, dropout: float) -> Path:
        """The folder of one that has ended."""
        output = self.folder / f"{place}, {dropout}"
        if (place, dropout) not in self.core:
            self.core[place, dropout] = self.zygote.finish(place, output, dropout=dropout)
        return output

    def seconds(self) -> float:
        """About how much of a core a rank of such a run uses."""
        return min(self.core.values())


@dataclass(frozen=True)
class Journey:
    """Where a run goes on after each kill, and the chance that draws when it is killed."""

    places: list[Place]
    dropout: float
    chance: random.Random

    @property
    def moves(self) -> bool:
        """Whether it goes on elsewhere."""
        return len(set(self.places)) > 1

    def moment(self, turn: int, core: float) -> dict[str, Any]:
        """When to kill: after some use of the core, or at a named moment."""
        chance, resume, ranks = self.chance, turn > 0, self.places[turn].ranks
        if chance.random() < 0.4:
            share = chance.uniform(0.1, 0.6 if resume else 0.95)
            return {"kill_after": (core * share, chance.uniform(0, 0.02))}
        if ranks > 1 and chance.random() < 0.3:
            return at(_TOGETHER, chance.randint(1, 2 * STEPS - 2), chance.randrange(ranks))
        if chance.random() < 0.3:
            return at(chance.choice(_RESUMING if resume else _ONCE))
        return at(chance.choice(_ANYWHERE), 1 if resume else chance.randint(1, STEPS - 2))


def at(moment: str, turn: int = 1, rank: int = 0) -> dict[str, Any]:
    """The request that a rank dies when it comes to a moment for the `turn`-th time."""
    return {"moment": {"place": moment, "turn": turn, "rank": rank}}


def journey(number: int) -> Journey:
    """One of `ALL`: the first ones visit every engine, the later ones also four ranks."""
    kind, chance = number % len(_KILLS), random.Random(f"{SEED}/{number}")
    places, kills = _places((1, 2) if number < USUAL else (1, 2, 4)), _KILLS[kind]
    if kind == len(_KILLS) - 1:
        return Journey(chance.sample(places, kills + 1), 0.0, chance)
    stays = (number - number // len(_KILLS)) % len(places)
    return Journey([places[stays]] * (kills + 1), DROPOUT, chance)


def _places(ranks: tuple[int, ...]) -> list[Place]:
    """Every engine on every number of ranks; all engines before one comes again."""
    return [
        Place(engine, ranks[(index + turn) % len(ranks)])
        for turn in range(len(ranks))
        for index, engine in enumerate(ENGINES)
    ]

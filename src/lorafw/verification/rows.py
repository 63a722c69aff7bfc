"""The rows of a run's first steps, taken out so that every process trains exactly those."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan, shuffled
from lorafw.types import Encoded, Layout

HELD_OUT = 8
"""Most rows whose figures are compared."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What every process trains and measures.

    Attributes:
        train: rows such that the first steps have the rows that the run's own first steps have.
        held_out: rows that are measured.
    """

    train: Sequence[Encoded]
    held_out: Sequence[Encoded]

    def write(self, path: Path) -> None:
        """Leave them as JSON."""
        values = {"train": _plain(self.train), "held_out": _plain(self.held_out)}
        path.write_text(json.dumps(values), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Rows:
        """What `write` left."""
        values = json.loads(path.read_text(encoding="utf-8"))
        train, held_out = (
            [Encoded(row["input_ids"], row["labels"]) for row in values[name]]
            for name in ("train", "held_out")
        )
        return cls(train, held_out)


def first_steps(
    rows: Sequence[Encoded], held_out: Sequence[Encoded], *, steps: int, batch: int, seed: int
) -> Rows:
    """The rows of the first steps; without held-out rows some of them are measured.

    Args:
        rows: all training rows of the run.
        held_out: its held-out rows; may be empty.
        steps: how many optimizer steps.
        batch: rows per step.
        seed: the run's.
    """
    if steps * batch < len(rows):
        plan = BatchPlan(lengths_of(rows), batch, 1, Layout.PADDED, seed)
        wanted = [row for step in range(steps) for row in plan.rows_of(step)]
        rows = [rows[row] for row in _unshuffled(wanted, seed)]
    measured = held_out or rows
    return Rows(rows, [measured[row] for row in range(min(HELD_OUT, len(measured)))])


def _unshuffled(wanted: Sequence[int], seed: int) -> list[int]:
    """Numbers in such an order that the first epoch's shuffle gives them as wanted."""
    placed = [0] * len(wanted)
    for number, place in zip(wanted, shuffled(len(wanted), seed, 0), strict=True):
        placed[place] = number
    return placed


def _plain(rows: Sequence[Encoded]) -> list[dict[str, Any]]:
    return [
        {"input_ids": [int(i) for i in row.input_ids], "labels": [int(i) for i in row.labels]}
        for row in rows
    ]

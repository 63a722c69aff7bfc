"""What one launch of processes has to do, as a file that they read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lorafw.verification.cases import Part

CONFIG, ROWS, TASK = "run.yaml", "rows.json", "task.json"
REFERENCE, FACTS, RESULTS, FAILURE = "reference", "facts.json", "results", "failure.txt"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The runs of one launch.

    Attributes:
        trainers: ways to run, one after another.
        injectors: the config's own first.
        budgets: most tokens of a micro-batch.
        steps: optimizer steps of every run.
        reference: whether the reference is run first, with the config's own trainer.
    """

    trainers: Sequence[Part]
    injectors: Sequence[Part]
    budgets: Sequence[int]
    steps: int
    reference: bool = False

    def write(self, folder: Path) -> None:
        """Leave it in the folder that config and rows are in."""
        (folder / TASK).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Assignment:
        """What `write` left."""
        values = json.loads((folder / TASK).read_text(encoding="utf-8"))
        trainers, injectors = (
            [Part(**part) for part in values.pop(kind)] for kind in ("trainers", "injectors")
        )
        return cls(trainers, injectors, **values)

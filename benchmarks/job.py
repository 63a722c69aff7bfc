"""What a contestant is asked to do, and what it answers: plain values, kept in JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.rows import ROWS_PER_STEP, Row, digest, draw_rows, grouped


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one contestant.

    Attributes:
        model: folder of the base model and its tokenizer.
        adapter: folder of the adapter to start from, in the PEFT layout.
        workdir: an existing, empty folder for whatever the contestant writes.
        steps: timed optimizer steps, after one more to warm up.
        seed: of the rows.
        threads: intra-op threads.
    """

    model: str
    adapter: str
    workdir: str
    steps: int
    seed: int
    threads: int
    learning_rate: float

    def rows(self, *, by_length: bool = False) -> list[Row]:
        """Every row, in the order of training; by_length as in `benchmarks.rows.grouped`."""
        rows = draw_rows((self.steps + 1) * ROWS_PER_STEP, self.seed)
        return grouped(rows) if by_length else rows

    def check_rows(
        self, got: Sequence[tuple[Sequence[int], Sequence[int]]], *, want: Sequence[Row]
    ) -> None:
        """Stop unless the ids and labels a contestant will train on are those of the rows."""
        if digest(got) != digest((row.ids, row.labels) for row in want):
            raise SystemExit("the contestant's ids or labels are not those of the benchmark's rows")

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Load what `write` saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of one contestant showed.

    Attributes:
        tokens: real tokens of the timed steps; padding is not counted.
        seconds: wall time of the timed steps, each from the end of the step before it.
        cpu_seconds: time of all threads, likewise.
        peak_bytes: largest resident size up to the end of the last step.
        losses: mean loss per trained token of every step, the first one (warm-up) included.
    """

    tokens: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    losses: list[float]

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """Load what `write` saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

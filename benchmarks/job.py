"""What a contestant is asked to do, and what it answers: plain values, kept in JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.gsm8k_rows import gsm8k_rows
from benchmarks.rows import ROWS_PER_STEP, Row, digest, draw_rows, grouped
from benchmarks.shapes import SHAPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one contestant.

    Attributes:
        model: folder of the base model and its tokenizer.
        adapter: folder of the adapter to start from, in the PEFT layout.
        workdir: an existing, empty folder for whatever the contestant writes.
        shape: a key of `SHAPES`.
        layers: of the model.
        gsm8k: file to take rows from; empty for rows of log-normal length.
        warmup: steps before those that are timed.
        steps: timed optimizer steps.
        seed: of the rows.
        threads: of all processes together.
        learning_rate: constant.
    """

    model: str
    adapter: str
    workdir: str
    shape: str
    layers: int
    gsm8k: str
    warmup: int
    steps: int
    seed: int
    threads: int
    learning_rate: float

    def rows(self, *, by_length: bool = False) -> list[Row]:
        """Every row, in the order of training; by_length as in `benchmarks.rows.grouped`."""
        count = (self.warmup + self.steps) * ROWS_PER_STEP
        vocabulary = SHAPES[self.shape].vocabulary
        rows = (
            gsm8k_rows(Path(self.gsm8k), count, self.seed, vocabulary)
            if self.gsm8k
            else draw_rows(count, self.seed, vocabulary)
        )
        return grouped(rows, after=self.warmup) if by_length else rows

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
        cpu_seconds: time of all threads of all processes, likewise.
        peak_bytes: largest resident size up to the end of the last step; of several processes,
            the sum of theirs.
        losses: mean loss per trained token of every step, those of the warm-up included; empty
            for what does not train.
    """

    tokens: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    losses: list[float] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """Load what `write` saved."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

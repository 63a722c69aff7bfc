"""A command of lorafw as a newcomer would type it, timed up to its first finished step."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.process import run_process
from benchmarks.questions import drawn_pairs

ROWS = 16


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of a command.

    Attributes:
        first_step: from its start to the end of its first step.
        whole: to its own end.
        cpu_seconds: of all threads, to its own end.
    """

    first_step: float
    whole: float
    cpu_seconds: float


def write_rows(path: Path) -> None:
    """A few rows of `question` and `answer`."""
    rows = [{"question": question, "answer": answer} for question, answer in drawn_pairs(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def timed(rows: Path, folder: Path, env: Mapping[str, str], *options: str) -> Start:
    """Run one step on the model that comes with lorafw, in a process of its own.

    Args:
        rows: the data.
        folder: a new one, for the run.
        env: of the process.
        options: assignments, each `section.key=value`.
    """
    folder.mkdir(parents=True)
    fixed = (f"dataset.path={rows}", "dataset.eval_fraction=0", "model.path=lorafw:demo")
    assigned = [word for each in (*fixed, "plan.max_steps=1", *options) for word in ("-o", each)]
    parts = ("--dataset", "jsonl", "--model", "llama", "--injector", "custom", "--trainer", "ddp")
    program = str(Path(sys.executable).parent / "lorafw")
    began = time.time()  # the clock that events are stamped with
    usage = run_process(
        [program, "run", *parts, *assigned, "--output", str(folder / "run")], folder, env
    )
    first = _first_step(folder / "run" / "events.jsonl") - began
    return Start(first, usage.seconds, usage.cpu_seconds)


def _first_step(events: Path) -> float:
    """When the first step was done, in seconds since the epoch."""
    lines = map(json.loads, events.read_text(encoding="utf-8").splitlines())
    first = next(event for event in lines if event["event"] == "step_end")
    return datetime.fromisoformat(first["time"]).timestamp()

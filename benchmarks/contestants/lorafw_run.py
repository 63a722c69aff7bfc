"""lorafw through its library API, with an ordinary config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lorafw
from benchmarks.job import Job, Outcome
from benchmarks.measure import StepClock
from benchmarks.model import ALPHA, RANK, SEED
from benchmarks.rows import ROWS_PER_STEP, write_texts
from lorafw.assembly.hooks import listens
from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.prompt import Prompt
from lorafw.contracts import Listener
from lorafw.data.encoded.prepare import prepare
from lorafw.training.batches import BatchPlan
from lorafw.types import Layout, Split
from lorafw_llama.model import Llama

_clock = StepClock()


class StepMarks(Listener):
    """Marks the end of every step on this process's clock."""

    def open(self, folder: Path) -> object:  # noqa: ARG002 - writes nothing
        """The live listener."""
        return _Marker()


class _Marker:
    @listens
    def step_end(self) -> None:
        """A step is done."""
        _clock.mark()


def run(job: Job, *, injector: str) -> Outcome:
    """Train with `lorafw.run`; tokens and losses are those that events.jsonl tells."""
    rows, path = job.rows(), Path(job.workdir) / "rows.jsonl"
    order = _visiting_order([len(row.ids) for row in rows])
    write_texts(rows, path, order=order)
    _check(job, path, order)
    result = lorafw.run(_config(job, path, injector))
    events = [json.loads(line) for line in (result.folder / "events.jsonl").open()]
    steps = [event for event in events if event["event"] == "step_end"]
    outcome = _clock.outcome(rows, [step["loss"] for step in steps])
    told = sum(step["tokens"] for step in steps[1:])
    if told != outcome.tokens:
        raise SystemExit(f"lorafw trained {told} tokens, not {outcome.tokens}")
    return outcome


def _visiting_order(lengths: list[int]) -> list[int]:
    """Line numbers of a file in the order in which lorafw trains them in the first epoch."""
    plan = BatchPlan(lengths, ROWS_PER_STEP, 1, Layout.SEGMENTS, SEED)
    return [row for step in range(plan.steps_per_epoch) for row in plan.rows_of(step)]


def _check(job: Job, path: Path, order: list[int]) -> None:
    tokenizer = Llama(path=job.model).tokenizer()
    examples = Jsonl(path=path, eval_fraction=0).load(Split.TRAIN)
    prepared = prepare(examples, Prompt(), tokenizer, split=Split.TRAIN).rows
    visited = [prepared[line] for line in order]
    job.check_rows([(row.input_ids, row.labels) for row in visited], want=job.rows())


def _config(job: Job, path: Path, injector: str) -> Mapping[str, Any]:
    return {
        "run": {"output": str(Path(job.workdir) / "run"), "seed": SEED},
        "dataset": {"use": "jsonl", "path": str(path), "eval_fraction": 0},
        "model": {"use": "llama", "path": job.model},
        "injector": {"use": injector, "r": RANK, "alpha": ALPHA},
        "trainer": {"use": "ddp"},
        "plan": {
            "global_batch_size": ROWS_PER_STEP,
            "learning_rate": job.learning_rate,
            "schedule": "constant",
            "warmup_ratio": 0,
        },
        "listeners": [{"use": f"{__name__}:{StepMarks.__name__}"}],
    }

"""lorafw through its library API, with an ordinary config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lorafw
from benchmarks.contestants.step_marks import StepMarks
from benchmarks.environment import threads_of
from benchmarks.job import Job, Outcome
from benchmarks.measure import StepClock
from benchmarks.model import ALPHA, RANK, SEED
from benchmarks.rows import ROWS_PER_STEP, write_texts
from lorafw.builtin.jsonl import Jsonl
from lorafw.builtin.prompt import Prompt
from lorafw.data.encoded.prepare import prepare
from lorafw.training.batches import BatchPlan
from lorafw.types import Layout, Split
from lorafw_llama.model import Llama


def run(job: Job, *, injector: Mapping[str, Any], ranks: int = 1) -> Outcome:
    """Train with `lorafw.run`; tokens and losses are those that events.jsonl tells.

    Args:
        job: what to do.
        injector: which, and its options beside rank and alpha.
        ranks: processes, which share the job's threads.
    """
    rows, folder = job.rows(), Path(job.workdir)
    order = visiting_order(len(rows))
    write_texts(rows, folder / "rows.jsonl", order=order)
    _check(job, folder / "rows.jsonl", order)
    os.environ.update(threads_of(max(1, job.threads // ranks)))  # what ranks will find
    result = lorafw.run(_config(job, injector), nproc=ranks)
    events = [json.loads(line) for line in (result.folder / "events.jsonl").open()]
    steps = [event for event in events if event["event"] == "step_end"]
    clock = StepClock.read(folder / "marks.json")
    outcome = clock.outcome(rows, [step["loss"] for step in steps], warmup=job.warmup)
    told = sum(step["tokens"] for step in steps[job.warmup :])
    if told != outcome.tokens:
        raise SystemExit(f"lorafw trained {told} tokens, not {outcome.tokens}")
    return outcome


def visiting_order(count: int, seed: int = SEED) -> list[int]:
    """Line numbers of a file in the order in which lorafw trains them in the first epoch."""
    plan = BatchPlan([1] * count, ROWS_PER_STEP, 1, Layout.SEGMENTS, seed)
    return [row for step in range(plan.steps_per_epoch) for row in plan.rows_of(step)]


def _check(job: Job, path: Path, order: list[int]) -> None:
    tokenizer = Llama(path=job.model).tokenizer()
    examples = Jsonl(path=path, eval_fraction=0).load(Split.TRAIN)
    prepared = prepare(examples, Prompt(), tokenizer, split=Split.TRAIN).rows
    visited = [prepared[line] for line in order]
    job.check_rows([(row.input_ids, row.labels) for row in visited], want=job.rows())


def _config(job: Job, injector: Mapping[str, Any]) -> Mapping[str, Any]:
    folder = Path(job.workdir)
    return {
        "run": {"output": str(folder / "run"), "seed": SEED},
        "dataset": {"use": "jsonl", "path": str(folder / "rows.jsonl"), "eval_fraction": 0},
        "model": {"use": "llama", "path": job.model},
        "injector": {"r": RANK, "alpha": ALPHA, **injector},
        "trainer": {"use": "ddp"},
        "plan": {
            "global_batch_size": ROWS_PER_STEP,
            "learning_rate": job.learning_rate,
            "schedule": "constant",
            "warmup_ratio": 0,
        },
        "listeners": [
            {
                "use": f"{StepMarks.__module__}:{StepMarks.__name__}",
                "marks": str(folder / "marks.json"),
            }
        ],
    }

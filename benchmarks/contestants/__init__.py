"""Who takes part, by the name used on the command line.

Each contestant is a function from a `Job` to an `Outcome`, run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.job import Job, Outcome


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table.

    Attributes:
        label: its name in the table.
        note: how it is set up, where that differs from the others.
        by_length: rows of like length share a step, as padding trainers like it.
        run: does the job; imports what it needs.
    """

    label: str
    note: str
    by_length: bool
    run: Callable[[Job], Outcome]


def _lorafw(job: Job, *, injector: str) -> Outcome:
    from benchmarks.contestants.lorafw_run import run

    return run(job, injector=injector)


def _hf_trainer(job: Job, *, padded: bool) -> Outcome:
    from benchmarks.contestants.hf_trainer import run

    return run(job, padded=padded)


def _trl(job: Job, *, tuned: bool) -> Outcome:
    from benchmarks.contestants.trl_sft import run

    return run(job, tuned=tuned)


CONTESTANTS = {
    "lorafw-custom": Contestant(
        "lorafw custom", "defaults", by_length=False, run=partial(_lorafw, injector="custom")
    ),
    "lorafw-peft": Contestant(
        "lorafw peft", "defaults", by_length=False, run=partial(_lorafw, injector="peft")
    ),
    "hf-trainer": Contestant(
        "HF Trainer + PEFT",
        "padded, rows grouped by length",
        by_length=True,
        run=partial(_hf_trainer, padded=True),
    ),
    "hf-trainer-flat": Contestant(
        "HF Trainer + PEFT, tuned",
        "padding-free",
        by_length=False,
        run=partial(_hf_trainer, padded=False),
    ),
    "trl": Contestant(
        "TRL SFTTrainer", "its defaults", by_length=False, run=partial(_trl, tuned=False)
    ),
    "trl-tuned": Contestant(
        "TRL SFTTrainer, tuned",
        "padding-free, no checkpointing",
        by_length=False,
        run=partial(_trl, tuned=True),
    ),
}
REFERENCE = "lorafw-custom"
"""Whom the ratios refer to."""

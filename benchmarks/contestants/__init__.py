"""Who takes part, by the name used on the command line.

Each contestant is a function from a `Job` to an `Outcome`, run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.job import Job, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One row of the table.

    Attributes:
        label: its name in the table.
        note: how it is set up, where that differs from the others.
        by_length: rows of like length share a step, as padding trainers like it.
        there: whether what it needs is installed.
        run: does the job; imports what it needs.
    """

    label: str
    note: str
    by_length: bool = False
    there: Callable[[], bool] = lambda: True
    run: Callable[[Job], Outcome]


def _lorafw(job: Job, *, ranks: int = 1, **injector: Any) -> Outcome:
    from benchmarks.contestants.lorafw_run import run

    return run(job, injector=injector, ranks=ranks)


def _hf_trainer(job: Job, *, padded: bool) -> Outcome:
    from benchmarks.contestants.hf_trainer import run

    return run(job, padded=padded)


def _trl(job: Job, *, tuned: bool) -> Outcome:
    from benchmarks.contestants.trl_sft import run

    return run(job, tuned=tuned)


def _floor(job: Job) -> Outcome:
    from benchmarks.contestants.floor import run

    return run(job)


def has_fast_path() -> bool:
    """Whether the fast path of injector `custom` can be chosen, to compare with it."""
    from lorafw_custom.injector import CustomInjector

    return {"fast", "kernels"} <= set(CustomInjector.model_fields)


def _custom(job: Job, *, ranks: int = 1, **options: str) -> Outcome:
    """Options of the fast path are given where it is there."""
    return _lorafw(job, ranks=ranks, use="custom", **(options if has_fast_path() else {}))


CONTESTANTS: Mapping[str, Contestant] = {
    "lorafw-custom": Contestant(
        label="lorafw custom",
        note="as in a long run: kernels compiled",
        run=partial(_custom, kernels="compiled"),
    ),
    "lorafw-custom-eager": Contestant(
        label="lorafw custom, eager kernels",
        note="as in a short run",
        there=has_fast_path,
        run=partial(_custom, kernels="eager"),
    ),
    "lorafw-custom-plain": Contestant(
        label="lorafw custom, fast off",
        note="layers of transformers",
        there=has_fast_path,
        run=partial(_custom, fast="off"),
    ),
    "lorafw-custom-2-ranks": Contestant(
        label="lorafw custom, 2 ranks",
        note="half of the threads each",
        run=partial(_custom, ranks=2, kernels="compiled"),
    ),
    "lorafw-peft": Contestant(
        label="lorafw peft",
        note="defaults",
        run=partial(_lorafw, use="peft"),
    ),
    "hf-trainer": Contestant(
        label="HF Trainer + PEFT",
        note="padded, rows grouped by length",
        by_length=True,
        run=partial(_hf_trainer, padded=True),
    ),
    "hf-trainer-flat": Contestant(
        label="HF Trainer + PEFT, tuned",
        note="padding-free",
        run=partial(_hf_trainer, padded=False),
    ),
    "trl": Contestant(
        label="TRL SFTTrainer",
        note="its defaults",
        run=partial(_trl, tuned=False),
    ),
    "trl-tuned": Contestant(
        label="TRL SFTTrainer, tuned",
        note="padding-free, no checkpointing",
        run=partial(_trl, tuned=True),
    ),
    "floor": Contestant(
        label="GEMM floor",
        note="frozen products, no training",
        run=_floor,
    ),
}
REFERENCE = "lorafw-custom"
"""Whom the ratios refer to."""
FLOOR = "floor"
"""Whose speed is the most there could be."""

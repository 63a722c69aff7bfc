"""The learning rate of every step: a pure function of the plan and the step."""

from __future__ import annotations

import math

from lorafw.contracts.plan import TrainPlan


def learning_rate(plan: TrainPlan, step: int, steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0) of `steps`.

    Warmup is linear and reaches the peak on its last step. After it, cosine falls as
    (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5) and linear as 1 - t,
    where t goes from 0 on the first step after warmup towards 1 after the last.
    """
    warmup = math.ceil(plan.warmup_ratio * steps)
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return plan.learning_rate * _decay(plan.schedule, progress)


def _decay(schedule: str, progress: float) -> float:
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return 1 - progress if schedule == "linear" else 1.0

"""The learning rate of every step: a pure function of the plan and the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lorafw.contracts.plan import TrainPlan

_TIMESCALE = 10_000
"""What inverse-sqrt falls over where nothing warms up, as in transformers."""


def learning_rate(plan: TrainPlan, step: int, steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0) of `steps`.

    Warmup is linear and reaches the peak on its last step. Behind it the rate is the peak times
    m + (1 - m) f with m `min_learning_rate_ratio`. f is 1 on the first step and falls, where t goes
    from 0 on that step towards 1 after the last:

    * cosine: (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5);
    * linear: 1 - t;
    * wsd: 1, but over the last steps 1 - p or 1 - sqrt(p) with p from 0 towards 1 (Hu et al. 2024,
      arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392, eq. 1);
    * inverse-sqrt: sqrt(w / s) in the s-th step with w steps of warmup (Vaswani et al. 2017,
      arXiv:1706.03762, eq. 3).

    minimind is MiniMind's first schedule, 0.1 + (1 + cos(pi t)) / 2: it starts at 1.1 times the
    peak. Its later one is cosine with a floor of 0.1.
    """
    warmup = _warmup_steps(plan, steps)
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    share = _SHAPES[plan.schedule](_Moment(plan, step - warmup, warmup, steps))
    floor = plan.min_learning_rate_ratio
    return plan.learning_rate * (floor + (1 - floor) * share)


def _warmup_steps(plan: TrainPlan, steps: int) -> int:
    if plan.warmup_steps is not None:
        return plan.warmup_steps
    return math.ceil((plan.warmup_ratio or 0.0) * steps)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A step `since` steps behind `warmup` steps, in a run of `steps`."""

    plan: TrainPlan
    since: int
    warmup: int
    steps: int

    @property
    def progress(self) -> float:
        """t: from 0 on the first step behind warmup towards 1 after the last."""
        return self.since / max(1, self.steps - self.warmup)


def _constant(_: _Moment) -> float:
    return 1.0


def _linear(now: _Moment) -> float:
    return 1 - now.progress


def _cosine(now: _Moment) -> float:
    return (1 + math.cos(math.pi * now.progress)) / 2


def _minimind(now: _Moment) -> float:
    return 0.1 + _cosine(now)


def _inverse_sqrt(now: _Moment) -> float:
    scale = now.warmup or _TIMESCALE
    return math.sqrt(scale / (scale + now.since))


def _warmup_stable_decay(now: _Moment) -> float:
    left = now.steps - now.warmup
    falling = min(left, math.ceil(now.plan.decay_ratio * now.steps))
    progress = max(0, now.since - (left - falling)) / max(1, falling)
    return 1 - (progress if now.plan.decay_shape == "linear" else math.sqrt(progress))


_SHAPES: Mapping[str, Callable[[_Moment], float]] = MappingProxyType(
    {
        "constant": _constant,
        "linear": _linear,
        "cosine": _cosine,
        "minimind": _minimind,
        "inverse-sqrt": _inverse_sqrt,
        "wsd": _warmup_stable_decay,
    }
)

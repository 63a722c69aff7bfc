"""Which evaluation was the best, and whether it is time to stop: pure functions of the figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.errors import ConfigError, did_you_mean
from lorafw.types import Encoded


@dataclass(frozen=True, slots=True)
class Best:
    """What the evaluations so far have shown; part of every checkpoint.

    Attributes:
        step: of the best evaluation; None before any, and while none had a finite figure.
        figures: that evaluation's.
        mark: the figure that the next one must better by the threshold to count as progress.
        waited: evaluations in a row that did not.
    """

    step: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    mark: float | None = None
    waited: int = 0


class Judge:
    """Compares evaluations by one figure; every rank has the same figures, so all agree."""

    def __init__(self, plan: TrainPlan, objective: Objective) -> None:
        self.metric = plan.metric_for_best
        self._sign = 1.0 if objective.higher_is_better(self.metric) else -1.0
        self._threshold = plan.early_stopping_threshold
        self._patience = plan.early_stopping_patience

    def judge(self, best: Best, step: int, figures: Mapping[str, float]) -> Best:
        """The best of those so far and the evaluation after `step`.

        Any gain makes an evaluation the best; one of more than the threshold over the last mark
        ends the wait, so that small gains add up. A figure that is not finite is no gain.
        """
        figure = self.figure(figures)
        found = best
        if self._gain(figure, over=self.figure_of(best)) > 0:
            found = replace(found, step=step, figures=dict(figures))
        if self._gain(figure, over=best.mark) > self._threshold:
            return replace(found, mark=figure, waited=0)
        return replace(found, waited=best.waited + 1)

    def is_over(self, best: Best) -> bool:
        """Whether as many evaluations as the plan's patience went by without progress."""
        return self._patience is not None and best.waited >= self._patience

    def figure(self, figures: Mapping[str, float]) -> float:
        """The figure that decides.

        Raises:
            ConfigError: it is not among these.
        """
        if self.metric in figures:
            return figures[self.metric]
        raise ConfigError(
            f"'{self.metric}' is no figure of this evaluation.",
            where="plan.metric_for_best",
            mend=did_you_mean(self.metric, figures) or f"There are: {', '.join(figures)}.",
        )

    def complaint(self, step: int, figures: Mapping[str, float]) -> str:
        """What is wrong with the figure that decides; empty if nothing is."""
        figure = self.figure(figures)
        if math.isfinite(figure):
            return ""
        return f"The held-out {self.metric} after step {step} is {figure}: no progress."

    def figure_of(self, best: Best) -> float | None:
        """The figure that made an evaluation the best; None before any did."""
        return self.figure(best.figures) if best.step is not None else None

    def _gain(self, figure: float, *, over: float | None) -> float:
        """How much better a figure is than another; infinitely so than none, or negative."""
        if not math.isfinite(figure):
            return -math.inf
        return math.inf if over is None else self._sign * (figure - over)


def check_held_out_rows(plan: TrainPlan, rows: Sequence[Encoded]) -> None:
    """See that a plan that decides by held-out rows has some.

    Raises:
        ConfigError: it has none.
    """
    if plan.decides_by_evaluation and not rows:
        raise ConfigError(
            "there are no held-out rows to decide by.",
            where=f"plan.{plan.decides_by_evaluation}",
            mend="Have the dataset hold some out, or leave this option out.",
        )


def check_place_for_best(plan: TrainPlan, checkpoints: Path | None) -> None:
    """See that there is a folder where the best step's weights can wait.

    Raises:
        ConfigError: there is none.
    """
    if plan.export_best and checkpoints is None:
        raise ConfigError(
            "the best weights have to be kept in a folder of checkpoints, and there is none.",
            where="plan.export_best",
        )

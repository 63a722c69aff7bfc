"""One optimizer step: what it trains on, its gradients, and the update, or why there is none."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lorafw.contracts.engine import Engine, StepOutcome
from lorafw.contracts.trainer import TrainJob
from lorafw.training.accumulation import Accumulated, Accumulation, GlobalBatch
from lorafw.training.guards.finite import FiniteGuard, is_finite
from lorafw.training.guards.learning import LearningGuard
from lorafw.training.guards.memory import TokenBudget, explained
from lorafw.training.loss_scaling import LossScaling
from lorafw.training.prefix.frozen_prefix import FrozenPrefix
from lorafw.training.share import Share, Shares
from lorafw.training.stopping import StopFlag


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step was.

    Attributes:
        loss: of the global batch, before the update.
        grad_norm: before clipping.
        tokens: real ones, over all ranks.
        seconds: wall time.
        skipped: nothing was updated, as loss or gradients were not finite.
    """

    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    seconds: float
    skipped: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """What all ranks together told before a step."""

    units: Mapping[str, float]
    tokens: int
    stop: bool
    offers: list[float]


class Stepper:
    """Takes the steps of one job on one engine; all ranks take the same."""

    def __init__(
        self,
        job: TrainJob,
        engine: Engine,
        stop: StopFlag,
        shares: Shares,
        scale: LossScaling,
        learning: LearningGuard,
        prefix: FrozenPrefix,
    ) -> None:
        self._job, self._engine, self._stop, self._shares = job, engine, stop, shares
        self._scale, self._learning = scale, learning
        self._budget = TokenBudget(job, engine)
        self._accumulation = Accumulation(job, engine, shares, self._budget, scale, prefix)
        self._finite = FiniteGuard(job, engine)

    def take(self, step: int, learning_rate: float) -> StepReport | None:
        """One step; None, with nothing changed, when a rank was asked to stop.

        Raises:
            TrainingError: a guard stops the run.
        """
        began = time.perf_counter()
        share = self._shares.of(step, self._budget.tokens)
        totals = self._totals(share)
        if totals.stop:
            return None
        if self._budget.agree(totals.offers):
            share = self._shares.of(step, self._budget.tokens)
        batch = GlobalBatch(step, totals.units)
        found = self._accumulation.run(batch, share)
        with explained("the update", self._budget.tokens):
            outcome = self._update(step, found, learning_rate)
        self._judge(batch, found, outcome, learning_rate)
        return StepReport(
            loss=found.loss,
            learning_rate=learning_rate,
            grad_norm=outcome.grad_norm,
            tokens=totals.tokens,
            seconds=time.perf_counter() - began,
            skipped=outcome.skipped,
        )

    def _totals(self, share: Share) -> Totals:
        """Counts over all ranks; other words of the ranks travel in the same all-reduce."""
        units = self._job.objective.units
        counts = [self._job.objective.counts(batch) for batch in share.batches]
        mine = [float(sum(count[unit] for count in counts)) for unit in units]
        words = [float(self._shares.tokens_of(share)), float(self._stop.raised)]
        local = torch.tensor([*mine, *words, *self._budget.offers()], dtype=torch.float64)
        told = self._engine.all_reduce_sum(local.to(self._engine.world.device)).tolist()
        tokens, stop, *offers = told[len(units) :]
        counted = dict(zip(units, told, strict=False))
        return Totals(counted, int(tokens), stop > 0, offers)

    def _update(self, step: int, found: Accumulated, learning_rate: float) -> StepOutcome:
        """Apply the gradients, unless they would do harm."""
        model = self._job.model
        if not (found.is_sound and self._gradients_are_sound(step)):
            self._engine.discard()
            return StepOutcome(float("nan"), skipped=True)
        outcome = self._engine.step(learning_rate=learning_rate)
        if not outcome.skipped:
            self._scale.note_good_step()
            model.after_step(step)
        return outcome

    def _gradients_are_sound(self, step: int) -> bool:
        """Show the gradients to those who want to see or change them, unless not finite."""
        model = self._job.model
        guide = self._job.guide
        wanted = model.wants_gradients, self._learning.wants_gradients, guide.wants_gradients
        if not any(wanted):
            return True
        gradients = self._engine.gradients()
        if not all(is_finite(gradient) for gradient in gradients.values()):
            return False
        if self._learning.wants_gradients:
            self._learning.see_gradients(gradients)
        if model.wants_gradients:
            model.before_step(step, gradients)
        if guide.wants_gradients:
            self._engine.set_gradients(guide.adjust(step, gradients))
        return True

    def _judge(
        self, batch: GlobalBatch, found: Accumulated, outcome: StepOutcome, learning_rate: float
    ) -> None:
        """Let the guards see how the step went."""
        if not outcome.skipped:
            self._finite.passed()
            self._learning.see_step(outcome, learning_rate)
            return
        rows = self._shares.rows_of(batch.step)
        culprits = [] if math.isfinite(found.loss) else self._culprits(batch, rows)
        self._finite.left_out(batch.step, found.loss, outcome.grad_norm, culprits, rows)

    def _culprits(self, batch: GlobalBatch, rows: list[int]) -> list[int]:
        """The rows of a step that alone have a loss that is not finite; collective."""
        share, losses = self._accumulation.losses_of_rows(batch)
        faulty = {
            part.rows[0]
            for part, loss in zip(share.parts, losses, strict=True)
            if not (part.filler or loss.isfinite())
        }
        flags = torch.tensor([float(row in faulty) for row in rows])
        told = self._engine.all_reduce_sum(flags.to(self._engine.world.device)).tolist()
        return [row for row, flag in zip(rows, told, strict=True) if flag]

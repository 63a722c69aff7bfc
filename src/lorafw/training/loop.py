"""The one training loop: steps, evaluation, checkpoints and events, whichever engine runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from lorafw.contracts.engine import Engine, StepOutcome
from lorafw.contracts.plan import StepsOrEpoch
from lorafw.contracts.trainer import Ended, FitResult, TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.errors import TrainingError
from lorafw.training.batches import BatchPlan, MicroBatch
from lorafw.training.best import Judge, check_held_out_rows, check_place_for_best
from lorafw.training.checkpoint import Checkpoint, Checkpoints
from lorafw.training.collation import collated
from lorafw.training.embedding_noise import EmbeddingNoise
from lorafw.training.evaluation import evaluate
from lorafw.training.randomness import seed_step
from lorafw.training.schedule import learning_rate
from lorafw.training.stopping import StopFlag
from lorafw.types import Batch


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What all ranks together counted before a step."""

    units: Mapping[str, float]
    tokens: int
    stop: bool


class Loop:
    """Runs one job on one engine."""

    def __init__(self, job: TrainJob, engine: Engine, stop: StopFlag) -> None:
        check_held_out_rows(job.plan, job.eval_rows)
        check_place_for_best(job.plan, job.checkpoints)
        self._job, self._engine, self._stop = job, engine, stop
        self._world = engine.world
        lengths = lengths_of(job.rows)
        plan = job.plan
        self._batches = BatchPlan(
            lengths, plan.global_batch_size, plan.micro_batch_tokens, job.layout, job.seed
        )
        whole = plan.epochs * self._batches.steps_per_epoch
        self.steps = min(whole, plan.max_steps or whole)
        self._judge = Judge(plan, job.objective)
        self._noise = EmbeddingNoise(job)
        self._checkpoints = Checkpoints(job, engine)
        self._progress = Checkpoint()
        self._tokens, self._seconds = 0, 0.0

    def run(self) -> FitResult:
        """Train from the newest checkpoint, or from the start, to the last step."""
        self._job.model.prepare_steps(self.steps)
        self._progress = self._checkpoints.resume()
        start = self._progress.step
        self._announce_start(start)
        if start == 0:
            self._evaluate()
        ended = self._train()
        if ended == "asked to stop":
            if self._progress.step > start:
                self._checkpoints.save(self._progress)
            return self._finish({}, ended)
        return self._finish(self._conclude(), ended)

    def _train(self) -> Ended:
        """Steps up to the last one, or until there is a reason to end before it."""
        while self._progress.step < self.steps:
            if self._judge.is_over(self._progress.best):
                return "early stopping"
            if not self._advance(self._progress.step):
                return "asked to stop"
        return "finished"

    def _advance(self, step: int) -> bool:
        """One step and what follows it; False when a rank was asked to stop before it."""
        if not self._step(step):
            return False
        done, plan = step + 1, self._job.plan
        last = done == self.steps
        if plan.evaluate_every and self._is_due(plan.evaluate_every, done) and not last:
            self._evaluate()
        if last or self._is_due(plan.checkpoint_every, done) or self._decided():
            self._checkpoints.save(self._progress)
        return True

    def _is_due(self, every: StepsOrEpoch, done: int) -> bool:
        return done % (self._batches.steps_per_epoch if every == "epoch" else every) == 0

    def _decided(self) -> bool:
        """Whether this step's evaluation settled something that must not be lost."""
        best, step = self._progress.best, self._progress.step
        kept = self._job.plan.export_best and best.step == step
        return kept or (self._progress.evaluated == step and self._judge.is_over(best))

    def _conclude(self) -> Mapping[str, float]:
        """Held-out figures of what is left: the last step's weights, or those of the best one."""
        if self._progress.evaluated != self._progress.step:
            self._evaluate()
        best = self._progress.best
        if not self._job.plan.export_best or best.step in {None, self._progress.step}:
            return self._progress.evaluation
        self._checkpoints.load_best(best)
        self._emit("notice", message=f"The weights of step {best.step} are kept, the best ones.")
        return best.figures

    def _step(self, step: int) -> bool:
        """One optimizer step; False, with nothing changed, when a rank was asked to stop."""
        began = time.perf_counter()
        seed_step(self._job.seed, step, self._world.rank)
        micro = self._batches.step(step, self._world.rank, self._world.world_size)
        batches = list(collated(self._job, self._job.rows, micro, self._world.device))
        totals = self._totals(batches, micro)
        if totals.stop:
            return False
        loss = self._accumulate(batches, totals.units)
        rate = learning_rate(self._job.plan, step, self.steps)
        outcome = self._update(step, loss, rate)
        self._record(step, loss, rate, outcome, totals.tokens, time.perf_counter() - began)
        return True

    def _totals(self, batches: list[Batch], micro: list[MicroBatch]) -> StepTotals:
        """Counts over all ranks; the wish to stop travels in the same all-reduce."""
        units = self._job.objective.units
        counts = [self._job.objective.counts(batch) for batch in batches]
        mine = [float(sum(count[unit] for count in counts)) for unit in units]
        rows = [row for part in micro if not part.filler for row in part.rows]
        tokens = float(sum(self._batches.lengths[row] for row in rows))
        local = torch.tensor([*mine, tokens, float(self._stop.raised)], dtype=torch.float64)
        *values, tokens, stop = self._engine.all_reduce_sum(local.to(self._world.device)).tolist()
        return StepTotals(dict(zip(units, values, strict=True)), int(tokens), stop > 0)

    def _accumulate(self, batches: list[Batch], totals: Mapping[str, float]) -> float:
        """Gradients of the whole global batch; returns its loss.

        Engines average over ranks while the losses of the ranks add up to the global loss, so
        each is multiplied by the number of ranks before its backward pass.
        """
        engine, total = self._engine, torch.zeros((), device=self._world.device)
        for index, batch in enumerate(batches):
            with engine.accumulate(last=index == len(batches) - 1):
                with self._noise.added(batch.inputs, self._progress.step):
                    loss = engine.forward(batch, totals)
                engine.backward(loss * self._world.world_size)
            total += loss.detach()
        return float(engine.all_reduce_sum(total))

    def _update(self, step: int, loss: float, rate: float) -> StepOutcome:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of step {step + 1} is {loss}.",
                mend="Lower plan.learning_rate, or look at the rows of this step.",
            )
        model = self._job.model
        if model.wants_gradients:
            model.before_step(step, self._engine.gradients())
        outcome = self._engine.step(learning_rate=rate)
        model.after_step(step)
        return outcome

    def _record(
        self,
        step: int,
        loss: float,
        rate: float,
        outcome: StepOutcome,
        tokens: int,
        seconds: float,
    ) -> None:
        first = loss if step == 0 else self._progress.first_loss
        self._progress = replace(self._progress, step=step + 1, first_loss=first, last_loss=loss)
        self._tokens += tokens
        self._seconds += seconds
        self._emit(
            "step_end",
            step=step + 1,
            steps=self.steps,
            epoch=(step + 1) / self._batches.steps_per_epoch,
            loss=loss,
            grad_norm=outcome.grad_norm,
            learning_rate=rate,
            tokens=tokens,
            seconds=seconds,
        )

    def _evaluate(self) -> None:
        """Measure, and compare with what was measured before; the start does not compete."""
        step, figures = self._progress.step, evaluate(self._job, self._engine)
        now = replace(self._progress, evaluation=figures, evaluated=step)
        if step == 0:
            now = replace(now, evaluation_before=figures)
        elif figures:
            now = replace(now, best=self._judge.judge(now.best, step, figures))
        self._progress = now
        if not figures:
            return
        self._emit("evaluation_end", step=step, figures=figures, best=now.best.step == step)
        if complaint := self._judge.complaint(step, figures):
            self._emit("notice", message=complaint)

    def _announce_start(self, start: int) -> None:
        parameters = self._job.model.trainable().values()
        self._emit(
            "fit_start",
            steps=self.steps,
            start=start,
            rows=len(self._job.rows),
            trainable=sum(self._numel(p) for p in parameters),
            parameters=sum(self._numel(p) for p in self._job.model.bundle.module.parameters()),
        )

    @staticmethod
    def _numel(parameter: torch.Tensor) -> int:
        # ZeRO-3 empties what it has partitioned, and notes the size.
        return int(getattr(parameter, "ds_numel", parameter.numel()))

    def _finish(self, after: Mapping[str, float], ended: Ended) -> FitResult:
        done, best = self._progress, self._progress.best
        result = FitResult(
            steps=done.step,
            first_loss=done.first_loss,
            last_loss=done.last_loss,
            evaluation=after,
            evaluation_before=done.evaluation_before,
            tokens=self._tokens,
            seconds=self._seconds,
            ended=ended,
            best_step=best.step,
            best_figure=self._judge.figure_of(best),
        )
        told = ("steps", "seconds", "ended", "best_step", "best_figure")
        values = {name: getattr(result, name) for name in told}
        self._emit("fit_end", loss=result.last_loss, **values)
        return result

    def _emit(self, event: str, **payload: object) -> None:
        if self._world.rank == 0:
            self._job.emit(event, **payload)

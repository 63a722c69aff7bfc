"""The one training loop: steps, evaluation, checkpoints and events, whichever engine runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from lorafw.contracts.engine import Engine, StepOutcome
from lorafw.contracts.trainer import FitResult, TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.errors import TrainingError
from lorafw.training.batches import BatchPlan, MicroBatch
from lorafw.training.checkpoint import Checkpoint, Checkpoints
from lorafw.training.randomness import seed_step
from lorafw.training.schedule import learning_rate
from lorafw.training.stopping import StopFlag
from lorafw.types import Batch, Encoded


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What all ranks together counted before a step."""

    units: Mapping[str, float]
    tokens: int
    stop: bool


class Loop:
    """Runs one job on one engine."""

    def __init__(self, job: TrainJob, engine: Engine, stop: StopFlag) -> None:
        self._job, self._engine, self._stop = job, engine, stop
        self._world = engine.world
        lengths = lengths_of(job.rows)
        plan = job.plan
        self._batches = BatchPlan(
            lengths, plan.global_batch_size, plan.micro_batch_tokens, job.layout, job.seed
        )
        whole = plan.epochs * self._batches.steps_per_epoch
        self.steps = min(whole, plan.max_steps or whole)
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
            self._progress = replace(self._progress, evaluation_before=self._evaluate())
        stopped = any(not self._advance(step) for step in range(start, self.steps))
        if stopped and self._progress.step > start:
            self._checkpoints.save(self._progress)
        return self._finish({} if stopped else self._evaluate(), stopped=stopped)

    def _advance(self, step: int) -> bool:
        """One step and what follows it; False when a rank was asked to stop before it."""
        if not self._step(step):
            return False
        done, plan = step + 1, self._job.plan
        if plan.evaluate_every and done % plan.evaluate_every == 0 and done < self.steps:
            self._evaluate()
        every = plan.checkpoint_every or self._batches.steps_per_epoch
        if done % every == 0 or done == self.steps:
            self._checkpoints.save(self._progress)
        return True

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

    def _evaluate(self) -> Mapping[str, float]:
        figures = evaluate(self._job, self._engine)
        if figures:
            self._emit("evaluation_end", step=self._progress.step, figures=figures)
        return figures

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

    def _finish(self, after: Mapping[str, float], *, stopped: bool) -> FitResult:
        done = self._progress
        self._emit(
            "fit_end",
            steps=done.step,
            loss=done.last_loss,
            seconds=self._seconds,
            stopped=stopped,
        )
        return FitResult(
            steps=done.step,
            first_loss=done.first_loss,
            last_loss=done.last_loss,
            evaluation=after,
            evaluation_before=done.evaluation_before,
            tokens=self._tokens,
            seconds=self._seconds,
            stopped=stopped,
        )

    def _emit(self, event: str, **payload: object) -> None:
        if self._world.rank == 0:
            self._job.emit(event, **payload)


def evaluate(job: TrainJob, engine: Engine) -> Mapping[str, float]:
    """Held-out figures of the model as it is, the rows shared among the ranks; collective."""
    if not job.eval_rows:
        return {}
    lengths = lengths_of(job.eval_rows)
    plan = BatchPlan(lengths, len(lengths), job.plan.micro_batch_tokens, job.layout, job.seed)
    world, names = engine.world, job.objective.sums_of(job.model.bundle)
    parts = plan.sweep(world.rank, world.world_size)
    sums = torch.zeros(len(names), dtype=torch.float64, device=world.device)
    job.model.train(mode=False)
    with torch.no_grad():
        for batch in collated(job, job.eval_rows, parts, world.device):
            sums += engine.forward(batch, None)
    job.model.train(mode=True)
    totals = engine.all_reduce_sum(sums).tolist()
    return job.objective.summarise(dict(zip(names, totals, strict=True)))


def collated(
    job: TrainJob, rows: Sequence[Encoded], parts: Iterable[MicroBatch], device: torch.device
) -> Iterator[Batch]:
    """Micro-batches as tensors; a filler has nothing to train."""
    for part in parts:
        chosen = [rows[row] for row in part.rows]
        batch = job.encoder.collate(chosen, job.layout, job.model.bundle.pad_id)
        yield (batch.without_targets() if part.filler else batch).to(device)

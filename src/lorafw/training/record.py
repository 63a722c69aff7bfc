"""How far a fit has got, and what listeners are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lorafw.contracts._sizes import numel
from lorafw.contracts.engine import World
from lorafw.contracts.trainer import Ended, FitResult, TrainJob
from lorafw.training.best import Judge
from lorafw.training.checkpoints.progress import Checkpoint
from lorafw.training.loss_scaling import Scale
from lorafw.training.step import StepReport


class Record:
    """The account of one fit: what a checkpoint keeps of it, and what this process has done.

    Attributes:
        progress: the former.
    """

    def __init__(self, job: TrainJob, world: World, judge: Judge, steps: int) -> None:
        self._job, self._world, self._judge, self._steps = job, world, judge, steps
        self._tokens, self._seconds = 0, 0.0
        self.progress = Checkpoint()

    def begin(self, progress: Checkpoint) -> None:
        """Go on from a checkpoint, or from none."""
        self.progress = progress
        parameters = self._job.model.trainable().values()
        self.tell(
            "fit_start",
            steps=self._steps,
            start=progress.step,
            rows=len(self._job.rows),
            trainable=sum(map(numel, parameters)),
            parameters=sum(map(numel, self._job.model.bundle.module.parameters())),
        )

    def add_step(self, report: StepReport, scale: Scale | None, steps_per_epoch: int) -> None:
        """One more step; a loss that is not finite is told, and not kept."""
        before, done = self.progress, self.progress.step + 1
        last = before.last_loss if report.skipped else report.loss
        self.progress = replace(
            before,
            step=done,
            first_loss=last if before.first_loss is None else before.first_loss,
            last_loss=last,
            scale=scale,
            skipped_steps=before.skipped_steps + report.skipped,
        )
        self._tokens += report.tokens
        self._seconds += report.seconds
        self.tell(
            "step_end",
            step=done,
            steps=self._steps,
            epoch=done / steps_per_epoch,
            loss=report.loss,
            grad_norm=report.grad_norm,
            learning_rate=report.learning_rate,
            tokens=report.tokens,
            seconds=report.seconds,
            skipped=report.skipped,
        )

    def add_evaluation(self, figures: Mapping[str, float]) -> None:
        """Compare with what was measured before; the start does not compete."""
        step = self.progress.step
        now = replace(self.progress, evaluation=figures, evaluated=step)
        if step == 0:
            now = replace(now, evaluation_before=figures)
        elif figures:
            now = replace(now, best=self._judge.judge(now.best, step, figures))
        self.progress = now
        if not figures:
            return
        self.tell("evaluation_end", step=step, figures=figures, best=now.best.step == step)
        if complaint := self._judge.complaint(step, figures):
            self.tell("notice", message=complaint)

    def finish(self, after: Mapping[str, float], ended: Ended) -> FitResult:
        """The result, with the held-out figures of what is left."""
        done, best = self.progress, self.progress.best
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
            accepted_changes=done.accepted,
            skipped_steps=done.skipped_steps,
        )
        told = ("steps", "seconds", "ended", "best_step", "best_figure")
        values = {name: getattr(result, name) for name in told}
        self.tell("fit_end", loss=result.last_loss, **values)
        return result

    def tell(self, event: str, **payload: object) -> None:
        """Send an event, on rank 0."""
        if self._world.rank == 0:
            self._job.emit(event, **payload)

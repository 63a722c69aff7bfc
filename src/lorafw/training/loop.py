"""The one training loop: steps, evaluation and checkpoints, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Mapping

from lorafw.contracts.engine import Engine
from lorafw.contracts.plan import StepsOrEpoch
from lorafw.contracts.trainer import Ended, FitResult, TrainJob
from lorafw.errors import CompositionError
from lorafw.training.best import Judge, check_held_out_rows, check_place_for_best
from lorafw.training.checkpoints.keeper import Checkpoints
from lorafw.training.evaluation import evaluate
from lorafw.training.guards.frozen import FrozenGuard
from lorafw.training.guards.learning import LearningGuard
from lorafw.training.loss_scaling import LossScaling
from lorafw.training.prefix.frozen_prefix import FrozenPrefix
from lorafw.training.record import Record
from lorafw.training.schedule import learning_rate
from lorafw.training.share import Shares
from lorafw.training.step import Stepper
from lorafw.training.stopping import StopFlag
from lorafw.types import Capability


class Loop:
    """Runs one job on one engine.

    Args:
        job: what is trained, and on what.
        engine: where.
        stop: raised when the process is asked to stop.
        capabilities: of the trainer whose engine it is.
    """

    def __init__(
        self, job: TrainJob, engine: Engine, stop: StopFlag, capabilities: frozenset[Capability]
    ) -> None:
        check_held_out_rows(job.plan, job.eval_rows)
        check_place_for_best(job.plan, job.checkpoints)
        _check_guide(job, capabilities)
        self._job, self._engine, self._stop = job, engine, stop
        self._whole_gradients = Capability.WHOLE_GRADIENTS in capabilities
        self._shares = Shares(job, engine.world)
        whole = job.plan.epochs * self._shares.steps_per_epoch
        self.steps = min(whole, job.plan.max_steps or whole)
        self._judge = Judge(job.plan, job.objective)
        self._checkpoints = Checkpoints(job, engine)
        self._scale = LossScaling(job.model, engine)
        self._prefix = FrozenPrefix(job, engine.world)
        self._record = Record(job, engine.world, self._judge, self.steps)

    def run(self) -> FitResult:
        """Train from the newest checkpoint, or from the start, to the last step."""
        self._job.model.prepare_steps(self.steps, tokens=self._shares.tokens_in(self.steps))
        self._tell_remarks()
        progress = self._checkpoints.resume()
        self._scale.restore(progress.scale)
        self._record.begin(progress)
        learning = LearningGuard(self._job, self._engine, whole_gradients=self._whole_gradients)
        frozen = FrozenGuard(self._job.model, self._engine)
        if progress.step == 0:
            self._evaluate()
        ended = self._train(learning)
        if ended == "asked to stop":
            if self._record.progress.step > progress.step:
                self._checkpoints.save(self._record.progress)
            return self._record.finish({}, ended)
        frozen.check()
        learning.see_end()
        return self._record.finish(self._conclude(), ended)

    def _train(self, learning: LearningGuard) -> Ended:
        """Steps up to the last one, or until there is a reason to end before it."""
        parts = self._job, self._engine, self._stop, self._shares, self._scale
        stepper = Stepper(*parts, learning, self._prefix)
        with self._scale.hooked(), self._prefix.opened():
            while self._record.progress.step < self.steps:
                if self._judge.is_over(self._record.progress.best):
                    return "early stopping"
                if not self._advance(stepper):
                    return "asked to stop"
        return "finished"

    def _advance(self, stepper: Stepper) -> bool:
        """One step and what follows it; False when a rank was asked to stop before it."""
        plan, step = self._job.plan, self._record.progress.step
        report = stepper.take(step, learning_rate(plan, step, self.steps))
        if report is None:
            return False
        self._record.add_step(report, self._scale.scale, self._shares.steps_per_epoch)
        done, last = step + 1, step + 1 == self.steps
        if plan.evaluate_every and self._is_due(plan.evaluate_every, done) and not last:
            self._evaluate()
        if last or self._is_due(plan.checkpoint_every, done) or self._decided():
            self._checkpoints.save(self._record.progress)
        return True

    def _is_due(self, every: StepsOrEpoch, done: int) -> bool:
        return done % (self._shares.steps_per_epoch if every == "epoch" else every) == 0

    def _decided(self) -> bool:
        """Whether this step's evaluation settled something that must not be lost."""
        progress = self._record.progress
        kept = self._job.plan.export_best and progress.best.step == progress.step
        settled = progress.evaluated == progress.step and self._judge.is_over(progress.best)
        return kept or settled

    def _conclude(self) -> Mapping[str, float]:
        """Held-out figures of what is left: the last step's weights, or those of the best one."""
        progress = self._record.progress
        if progress.evaluated != progress.step:
            self._evaluate()
        progress = self._record.progress
        best = progress.best
        if not self._job.plan.export_best or best.step in {None, progress.step}:
            return progress.evaluation
        self._checkpoints.load_best(best)
        message = f"The weights of step {best.step} are kept, the best ones."
        self._record.tell("notice", message=message)
        return best.figures

    def _tell_remarks(self) -> None:
        for remark in self._job.model.remarks:
            self._record.tell("notice", message=remark)

    def _evaluate(self) -> None:
        self._record.add_evaluation(evaluate(self._job, self._engine))


def _check_guide(job: TrainJob, capabilities: frozenset[Capability]) -> None:
    if job.guide.wants_gradients and Capability.SETTABLE_GRADIENTS not in capabilities:
        fault = "this trainer's gradients cannot be replaced before a step, as the scenario needs."
        raise CompositionError(fault, mend="Choose another: --trainer ddp.")

"""EngineRunner: opens an engine for a job, keeps it open, and runs the loop on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lorafw.contracts.engine import Engine, EngineJob, TrainingState, World
from lorafw.contracts.trainer import FitResult, RunningTrainer, TrainJob
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.evaluation import evaluate
from lorafw.training.gradient_checkpointing import recomputed, to_recompute
from lorafw.training.loop import Loop
from lorafw.training.loss_module import LossModule
from lorafw.training.optimizer import build_optimizer
from lorafw.training.optimizer_memory import VALUE
from lorafw.training.stopping import StopFlag


class EngineRunner(RunningTrainer):
    """One connected trainer. The engine stays open until it must serve something else.

    It has to: under ZeRO-3 the weights live in the engine, also while they are exported; and
    DeepSpeed engines do not give all their memory back when they are closed.
    """

    def __init__(self, trainer: EngineTrainer, world: World) -> None:
        self.world = world
        self._trainer = trainer
        self._engine: Engine | None = None
        self._recomputing = ExitStack()
        self._serves: tuple[object, ...] = ()
        self._used = False

    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        if self.world.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def fit(self, job: TrainJob) -> FitResult:
        """Run the loop; the wish to stop is heard while it runs, and torch's seed is given back."""
        engine, stop = self._open(job), StopFlag()
        if self._used:
            engine.load_state(_restarted(engine.state()))
        self._used = True
        devices = [self.world.device] if self.world.device.type == "cuda" else []
        with stop.listening(), torch.random.fork_rng(devices):
            try:
                return Loop(job, engine, stop, self._trainer.capabilities).run()
            finally:
                job.model.train(mode=False)

    def evaluate(self, job: TrainJob) -> Mapping[str, float]:
        """Held-out figures of the model as it is."""
        try:
            return evaluate(job, self._open(job))
        finally:
            job.model.train(mode=False)

    def _open(self, job: TrainJob) -> Engine:
        """The engine for a job: the open one if it would be opened just the same."""
        wanted = _what_it_serves(job)
        if self._engine is None or self._serves != wanted:
            with self.full_parameters(job.model.bundle.module):  # to be given back whole
                self._close_engine()
            self._engine, self._serves, self._used = self._new_engine(job), wanted, False
            self._tell_remarks(job)
        job.model.train(mode=True)
        return self._engine

    def _tell_remarks(self, job: TrainJob) -> None:
        if self.world.rank == 0:
            for remark in self._trainer.remarks(self.world):
                job.emit("notice", message=remark)

    def _new_engine(self, job: TrainJob) -> Engine:
        parameters = dict(job.model.trainable())
        wrapped = LossModule(job.model.bundle, job.objective, job.model.penalty)
        optimizer = build_optimizer(job.plan, parameters, job.model.learning_rate_scales())
        blocks = job.model.bundle.layers
        request = EngineJob(wrapped, parameters, optimizer, job.plan.max_grad_norm, blocks)
        twice = to_recompute(job.model.bundle, job.plan.activations)
        engine = self._trainer.open_engine(request, self.world)
        self._recomputing.enter_context(recomputed(twice))
        wrapped.eval()  # the base never drops anything; the adapter is switched on its own
        return engine

    @contextmanager
    def full_parameters(self, module: nn.Module) -> Iterator[None]:
        """While open, every parameter of the model is whole on this rank; collective."""
        if self._engine is None or self._serves[0] is not module:
            yield
            return
        with self._engine.full_parameters():
            yield

    def close(self) -> None:
        """Close the engine and leave the process group."""
        self._close_engine()
        self._trainer.disconnect()

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._recomputing.close()
        self._engine, self._serves = None, ()


def _what_it_serves(job: TrainJob) -> tuple[object, ...]:
    """All that an engine is opened with; modules compare by identity."""
    plan = job.plan
    moments = (plan.weight_decay, plan.betas, plan.eps)
    options = (plan.optimizer, plan.optimizer_options, *moments, plan.max_grad_norm)
    return (job.model.bundle.module, job.objective, options, plan.activations)


def _restarted(state: TrainingState) -> TrainingState:
    """The same values with an optimizer that has seen nothing yet."""
    return {name: {VALUE: tensors[VALUE]} for name, tensors in state.items()}

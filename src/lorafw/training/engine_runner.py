"""EngineRunner: opens an engine for a job, keeps it open, and runs the loop on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lorafw.contracts._adapter_values import check_shapes, shapes_of
from lorafw.contracts.engine import Engine, EngineJob, TrainingState, World
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.trainer import FitResult, Guide, RunningTrainer, TrainJob
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
        self._losses: LossModule | None = None
        self._shapes: dict[str, torch.Size] = {}
        self._used = False
        self._guide = Guide()

    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        if self.world.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """What every rank gave, by rank, on every rank."""
        found = [value] * self.world.world_size
        if self.world.world_size > 1:
            dist.all_gather_object(found, value)
        return found

    def sum_over_ranks(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, on the tensor's own device."""
        total = tensor.to(self.world.device, copy=True)
        if self.world.world_size > 1:
            dist.all_reduce(total)
        return total.to(tensor.device)

    def values(self, job: TrainJob) -> dict[str, Tensor]:
        """The trainable parameters as they are, copied to the CPU."""
        state = self._open(job).state()
        job.model.train(mode=False)
        return {name: tensors[VALUE] for name, tensors in state.items()}

    def load(self, job: TrainJob, values: Mapping[str, Tensor]) -> None:
        """Write values where the engine keeps them; its optimizer has seen nothing then."""
        engine = self._open(job)
        check_shapes(self._shapes, shapes_of(values))
        engine.load_state({name: {VALUE: value} for name, value in values.items()})
        job.model.train(mode=False)

    def fit(self, job: TrainJob) -> FitResult:
        """Run the loop; the wish to stop is heard while it runs, and torch's seed is given back."""
        engine, stop = self._open(job), StopFlag()
        if self._used:
            engine.load_state(_restarted(engine.state()))
        self._used, self._guide = True, job.guide
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
        assert self._losses is not None
        self._losses.serve(job.objective)
        job.model.train(mode=True)
        return self._engine

    def _tell_remarks(self, job: TrainJob) -> None:
        if self.world.rank == 0:
            for remark in self._trainer.remarks(self.world):
                job.emit("notice", message=remark)

    def _new_engine(self, job: TrainJob) -> Engine:
        parameters = dict(job.model.trainable())
        self._shapes = shapes_of(parameters)
        wrapped = LossModule(job.model.bundle, job.objective, self._penalties(job.model))
        self._losses = wrapped
        optimizer = build_optimizer(job.plan, parameters, job.model.learning_rate_scales())
        blocks = job.model.bundle.layers
        request = EngineJob(wrapped, parameters, optimizer, job.plan.max_grad_norm, blocks)
        twice = to_recompute(job.model.bundle, job.plan.activations)
        engine = self._trainer.open_engine(request, self.world)
        self._recomputing.enter_context(recomputed(twice))
        wrapped.eval()  # the base never drops anything; the adapter is switched on its own
        return engine

    def _penalties(self, model: AdaptedModel) -> Callable[[], Tensor | None]:
        """The model's own, and that of the guide of whichever job is being trained."""

        def total() -> Tensor | None:
            found = [model.penalty(), self._guide.penalty()]
            terms = [term for term in found if term is not None]
            return torch.stack(terms).sum() if terms else None

        return total

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
        self._engine, self._serves, self._losses = None, (), None


def _what_it_serves(job: TrainJob) -> tuple[object, ...]:
    """All that an engine is opened with but for what can be handed over; compared by identity."""
    plan = job.plan
    moments = (plan.weight_decay, plan.betas, plan.eps)
    options = (plan.optimizer, plan.optimizer_options, *moments, plan.max_grad_norm)
    return (job.model.bundle.module, options, plan.activations)


def _restarted(state: TrainingState) -> TrainingState:
    """The same values with an optimizer that has seen nothing yet."""
    return {name: {VALUE: tensors[VALUE]} for name, tensors in state.items()}

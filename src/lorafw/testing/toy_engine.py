"""An engine on its own, without the loop: opened on the toy model, stepped by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import Engine, EngineJob, StepOutcome, Trainer, TrainPlan
from lorafw.testing.promise import NotPromised
from lorafw.testing.reference import global_batches
from lorafw.testing.toy_training import toy_model, training_plan
from lorafw.testing.toys import ToyEncoder
from lorafw.training.engine_trainer import EngineTrainer
from lorafw.training.loss_module import LossModule
from lorafw.training.optimizer import build_optimizer
from lorafw.types import Batch, Encoded, Layout

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def opened(trainer: Trainer, plan: TrainPlan | None = None) -> Iterator[Engine]:
    """The trainer's engine on a fresh toy model.

    Raises:
        NotPromised: the trainer has no engine of its own.
    """
    if not isinstance(trainer, EngineTrainer):
        raise NotPromised("it is no EngineTrainer")
    world, plan = trainer.connect(), plan or training_plan()
    model = toy_model(world.device)
    parameters = dict(model.trainable())
    module = LossModule(model.bundle, CausalLM())
    optimizer = build_optimizer(plan, parameters)
    job = EngineJob(module, parameters, optimizer, plan.max_grad_norm)
    engine = trainer.open_engine(job, world)
    module.eval()
    try:
        yield engine
    finally:
        engine.close()
        trainer.disconnect()


def accumulate(engine: Engine, rows: Sequence[Encoded]) -> None:
    """Gradients of one global batch in three micro-batches, the last of them without targets."""
    half = max(1, len(rows) // 2)
    parts = [rows[:half], rows[half:] or rows[:1]]
    batches = [_batch(part, engine) for part in parts]
    if not rows[half:]:
        batches[1] = batches[1].without_targets()
    batches.append(_batch(rows[:1], engine).without_targets())
    totals = {"targets": float(sum(row.targets for row in rows))}
    for number, batch in enumerate(batches):
        with engine.accumulate(last=number == len(batches) - 1):
            loss = engine.forward(batch, totals)
            engine.backward(loss * engine.world.world_size)


def advance(engine: Engine, steps: Sequence[int], learning_rate: float = 1e-3) -> list[StepOutcome]:
    """The given steps of the toy training."""
    batches, outcomes = global_batches(), []
    for step in steps:
        accumulate(engine, batches[step])
        outcomes.append(engine.step(learning_rate=learning_rate))
    return outcomes


def values_of(engine: Engine) -> dict[str, Tensor]:
    """The parameters' values."""
    return {name: tensors["value"] for name, tensors in engine.state().items()}


def _batch(rows: Sequence[Encoded], engine: Engine) -> Batch:
    return ToyEncoder().collate(rows, Layout.SEGMENTS, 0).to(engine.world.device)

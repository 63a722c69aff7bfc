"""An engine on its own, without the loop: opened on the toy model, stepped by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    from torch import Tensor, nn


@contextmanager
def opened(
    trainer: Trainer,
    plan: TrainPlan | None = None,
    watch: Callable[[list[nn.Module]], None] | None = None,
) -> Iterator[Engine]:
    """The trainer's engine on a fresh toy model.

    Args:
        trainer: whose.
        plan: what the optimizer is built from.
        watch: is given the model's layers before the engine sees them.

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
    blocks = model.bundle.layers
    if watch is not None:
        watch(list(blocks))
    job = EngineJob(module, parameters, optimizer, plan.max_grad_norm, blocks)
    engine = trainer.open_engine(job, world)
    module.eval()
    try:
        yield engine
    finally:
        engine.close()
        trainer.disconnect()


def accumulate(engine: Engine, rows: Sequence[Encoded], factor: float = 1.0) -> None:
    """Gradients of one global batch in three micro-batches, the last of them without targets.

    Args:
        engine: where.
        rows: the global batch.
        factor: what its loss is multiplied by.
    """
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
            engine.backward(loss * (engine.world.world_size * factor))


def begin(engine: Engine, rows: Sequence[Encoded]) -> None:
    """Gradients of one micro-batch, which is not the last of its step."""
    with engine.accumulate(last=False):
        totals = {"targets": float(sum(row.targets for row in rows))}
        engine.backward(engine.forward(_batch(rows[:1], engine), totals))


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

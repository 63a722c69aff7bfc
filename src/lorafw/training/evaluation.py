"""Held-out figures of a model as it is, the rows shared among all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lorafw.contracts.engine import Engine
from lorafw.contracts.trainer import TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan, MicroBatch, cost_of
from lorafw.training.collation import collated
from lorafw.training.guards.memory import (
    free_what_failed,
    is_out_of_memory,
    refuse_others_waiting,
    refuse_single,
)


def evaluate(job: TrainJob, engine: Engine) -> Mapping[str, float]:
    """Held-out figures of the model as it is, the same on every rank; collective.

    Raises:
        TrainingError: memory does not suffice, even for the smallest portions.
    """
    if not job.eval_rows:
        return {}
    lengths = lengths_of(job.eval_rows)
    plan = BatchPlan(lengths, len(lengths), job.plan.token_budget, job.layout, job.seed)
    world, names = engine.world, job.objective.sums_of(job.model.bundle)
    parts = plan.sweep(world.rank, world.world_size)
    sums = torch.zeros(len(names), dtype=torch.float64, device=world.device)
    job.model.train(mode=False)
    with torch.no_grad():
        for part in parts:
            sums += _measured(job, engine, part, lengths)
    job.model.train(mode=True)
    totals = engine.all_reduce_sum(sums).tolist()
    return job.objective.summarise(dict(zip(names, totals, strict=True)))


def _measured(job: TrainJob, engine: Engine, part: MicroBatch, lengths: Sequence[int]) -> Tensor:
    """The sums of a micro-batch, measured in halves if memory calls for it."""
    try:
        (batch,) = collated(job, job.eval_rows, [part], engine.world.device)
        return engine.forward(batch, None)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    free_what_failed()
    tokens = cost_of([lengths[row] for row in part.rows], job.layout)
    refuse_single(part.rows, f"held-out row {part.rows[0] + 1}", tokens)
    refuse_others_waiting(engine, tokens)
    middle = len(part.rows) // 2
    halves = (MicroBatch(part.rows[:middle]), MicroBatch(part.rows[middle:]))
    first, second = (_measured(job, engine, half, lengths) for half in halves)
    return first + second

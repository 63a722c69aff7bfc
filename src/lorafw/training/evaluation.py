"""Held-out figures of a model as it is, the rows shared among all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lorafw.contracts.engine import Engine
from lorafw.contracts.trainer import TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan
from lorafw.training.collation import collated


def evaluate(job: TrainJob, engine: Engine) -> Mapping[str, float]:
    """Held-out figures of the model as it is, the same on every rank; collective."""
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

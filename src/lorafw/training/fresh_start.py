"""Fresh adapters that look at rows of the data before they are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan
from lorafw.training.collation import collated

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lorafw.contracts.injector import AdaptedModel
    from lorafw.contracts.trainer import RunningTrainer, TrainJob
    from lorafw.types import Batch


def start_from_rows(job: TrainJob, running: RunningTrainer) -> None:
    """Let the job's fresh adapter look at as many training rows as it asks for; collective.

    Rank 0 looks, and every rank takes over its values, to the bit. No engine may be open yet: those
    that partition parameters need whole ones to begin with.

    Raises:
        AdapterError: see `AdaptedModel.start_from`.
    """
    model, world = job.model, running.world
    if not model.start_rows:
        return
    if world.rank == 0:
        model.start_from(first_batches(job, model.start_rows, world.device), job.objective)
    if world.world_size > 1:
        values, kept = running.share(_found(model) if world.rank == 0 else None)
        model.load_state(values)
        model.load_training_state(kept)


def first_batches(job: TrainJob, rows: int, device: torch.device) -> list[Batch]:
    """The rows that training begins with, or all there are: a pure function of the job's seed."""
    plan = job.plan
    batches = BatchPlan(lengths_of(job.rows), rows, plan.token_budget, job.layout, seed=job.seed)
    return list(collated(job, job.rows, batches.step(0, rank=0, world_size=1), device))


def _found(model: AdaptedModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    values = {name: p.detach().cpu() for name, p in model.trainable().items()}
    return values, dict(model.training_state())

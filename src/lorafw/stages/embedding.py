"""What the base model makes of rows' prompts; the rows shared among ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lorafw.stages.sharing import shared
from lorafw.types import IGNORE_INDEX, Encoded, Layout

if TYPE_CHECKING:
    from lorafw.contracts.trainer import RunningTrainer, TrainJob

_TOGETHER = 16
"""Rows in one forward pass."""


def embeddings(job: TrainJob, running: RunningTrainer, rows: Sequence[Encoded]) -> Tensor:
    """The mean of what comes out before the head over each row's prompt; collective.

    Args:
        job: whose model, without its adapter, and encoder.
        running: the ranks that share the rows.
        rows: their prompts are looked at.

    Returns:
        [rows, width], fp32 on the CPU, the same on every rank.
    """
    device = running.world.device
    with running.full_parameters(job.model.bundle.module), job.model.disabled():
        found = shared(running, rows, _TOGETHER, lambda group: _embedded(job, group, device))
    return torch.stack(found)


@torch.no_grad()
def _embedded(job: TrainJob, rows: Sequence[Encoded], device: torch.device) -> list[Tensor]:
    batch = job.encoder.collate(list(rows), Layout.PADDED, job.model.bundle.pad_id)
    inputs = batch.to(device).inputs
    hidden, real = job.model.bundle.hidden(inputs).rows, inputs["attention_mask"].bool()
    return [
        hidden[at][real[at]][: _prompt_length(row)].float().mean(0).cpu()
        for at, row in enumerate(rows)
    ]


def _prompt_length(row: Encoded) -> int:
    """Tokens before the first that is trained; all of them, if none is."""
    first = (at for at, label in enumerate(row.labels) if label != IGNORE_INDEX)
    return max(1, next(first, len(row.input_ids)))

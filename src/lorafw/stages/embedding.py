"""What the base model makes of rows' prompts; the rows shared among ranks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lorafw.types import IGNORE_INDEX, Encoded, Layout

if TYPE_CHECKING:
    from lorafw.contracts.trainer import RunningTrainer, TrainJob

_TOGETHER = 16
"""Rows in one forward pass, the same for any number of ranks: company changes the last bits."""


def embeddings(job: TrainJob, running: RunningTrainer, rows: Sequence[Encoded]) -> Tensor:
    """The mean of what comes out before the head over each row's prompt; collective.

    Args:
        job: whose model, without its adapter, and encoder.
        running: the ranks that share the rows.
        rows: their prompts are looked at.

    Returns:
        [rows, width], fp32 on the CPU, the same on every rank.
    """
    groups = [rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER)]
    world, module = running.world, job.model.bundle.module
    with running.full_parameters(module), job.model.disabled():
        mine = [
            _embedded(job, group, world.device) for group in groups[world.rank :: world.world_size]
        ]
    found = running.gather(mine)
    in_order = (found[at % len(found)][at // len(found)] for at in range(len(groups)))
    return torch.stack(list(chain.from_iterable(in_order)))


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

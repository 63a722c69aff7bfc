"""Micro-batches of row numbers as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from lorafw.contracts.trainer import TrainJob
from lorafw.training.batches import MicroBatch
from lorafw.types import Batch, Encoded


def collated(
    job: TrainJob, rows: Sequence[Encoded], parts: Iterable[MicroBatch], device: torch.device
) -> Iterator[Batch]:
    """Micro-batches as tensors; a filler has nothing to train."""
    for part in parts:
        chosen = [rows[row] for row in part.rows]
        batch = job.encoder.collate(chosen, job.layout, job.model.bundle.pad_id)
        yield (batch.without_targets() if part.filler else batch).to(device)

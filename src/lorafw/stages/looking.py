"""What the live model makes of rows: losses, embeddings, answers; the rows shared among ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.likelihood import row_losses
from lorafw.inference.loaded import TUNED, LoadedModel
from lorafw.types import IGNORE_INDEX, Encoded, Layout

if TYPE_CHECKING:
    from lorafw.contracts.trainer import RunningTrainer, TrainJob

T = TypeVar("T")
_TOGETHER = 16
"""Rows in one forward pass."""


class Looking:
    """Looks at rows through a job's model, as it is at the moment; every method is collective.

    Args:
        job: whose model and encoder.
        running: the ranks that share the rows.
    """

    def __init__(self, job: TrainJob, running: RunningTrainer) -> None:
        self._job, self._running = job, running

    def losses(self, rows: Sequence[Encoded]) -> list[float]:
        """Per row the sum of -log p over what it trains, in nats."""
        job = self._job

        def measured(mine: Sequence[Encoded]) -> list[float]:
            found = row_losses(job.model.bundle, job.encoder, mine)
            return [each.loss for each in found]

        return self._shared(rows, measured)

    def embeddings(self, rows: Sequence[Encoded]) -> Tensor:
        """The base's mean hidden row over each prompt: [rows, width], fp32 on the CPU."""
        with self._job.model.disabled():
            return torch.stack(self._shared(rows, self._embedded))

    def answers(self, rows: Sequence[Encoded], max_new_tokens: int) -> list[list[int]]:
        """Token ids written behind each row, greedily, without the end token."""
        model = LoadedModel(self._job.model.bundle, self._job.encoder, self._job.model)
        wish, ends = Sampling(max_new_tokens=max_new_tokens), frozenset(model.stop_ids)

        def answered(mine: Sequence[Encoded]) -> list[list[int]]:
            answers = [model.begin_ids(row.input_ids, wish, TUNED) for row in mine]
            for _ in model.grow(answers):
                pass
            return [[each for each in answer.ids if each not in ends] for answer in answers]

        return self._shared(rows, answered)

    def _embedded(self, rows: Sequence[Encoded]) -> list[Tensor]:
        found: list[Tensor] = []
        for start in range(0, len(rows), _TOGETHER):
            found += self._embedded_together(rows[start : start + _TOGETHER])
        return found

    @torch.no_grad()
    def _embedded_together(self, rows: Sequence[Encoded]) -> list[Tensor]:
        job = self._job
        batch = job.encoder.collate(list(rows), Layout.PADDED, job.model.bundle.pad_id)
        inputs = batch.to(self._running.world.device).inputs
        hidden, real = job.model.bundle.hidden(inputs).rows, inputs["attention_mask"].bool()
        return [
            hidden[at][real[at]][: prompt_length(row)].float().mean(0).cpu()
            for at, row in enumerate(rows)
        ]

    def _shared(
        self, rows: Sequence[Encoded], look: Callable[[Sequence[Encoded]], list[T]]
    ) -> list[T]:
        """What `look` finds of each row, in the order of rows; rank r looks at every world-th."""
        world = self._running.world
        with self._running.full_parameters(self._job.model.bundle.module):
            mine = look(list(rows[world.rank :: world.world_size]))
        found = self._running.gather(mine)
        return [found[at % world.world_size][at // world.world_size] for at in range(len(rows))]


def prompt_length(row: Encoded) -> int:
    """Tokens before the first that is trained; all of them, if none is."""
    first = (at for at, label in enumerate(row.labels) if label != IGNORE_INDEX)
    return max(1, next(first, len(row.input_ids)))

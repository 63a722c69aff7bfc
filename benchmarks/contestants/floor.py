"""Not a trainer: the frozen matrix products of a step, in bf16, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.gemm_floor import Portion, steps_of
from benchmarks.job import Job, Outcome
from benchmarks.measure import StepClock
from benchmarks.shapes import SHAPES, Shape

CHUNK = 1024
"""Label rows at the head at a time; more would be no faster, and less is slower."""


def run(job: Job) -> Outcome:
    """The same steps, cut into the micro-batches that lorafw would train."""
    rows = job.rows()
    steps = steps_of(rows)
    floor, clock = _Floor(SHAPES[job.shape], job.layers, steps), StepClock()
    for step in steps:
        for portion in step:
            floor.run(portion)
        clock.mark()
    return clock.outcome(rows, [], warmup=job.warmup)


class _Floor:
    """Weights of every layer, and buffers as large as the largest portion needs them."""

    def __init__(self, shape: Shape, layers: int, steps: Sequence[Sequence[Portion]]) -> None:
        self._layers = [[_drawn(out, into) for into, out in shape.linears] for _ in range(layers)]
        self._head = _drawn(shape.vocabulary, shape.hidden)
        tokens = max(portion.tokens for step in steps for portion in step)
        self._inputs = [_drawn(tokens, into) for into, _ in shape.linears]
        self._outputs = [_drawn(tokens, out) for _, out in shape.linears]
        self._gradients = [_drawn(tokens, into) for into, _ in shape.linears]
        labels = max(portion.labels for step in steps for portion in step)
        self._rows, self._d_rows = _drawn(labels, shape.hidden), _drawn(labels, shape.hidden)
        self._logits = _drawn(min(CHUNK, labels), shape.vocabulary)

    def run(self, portion: Portion) -> None:
        """Every layer forward, the head forward and back, every layer back."""
        cut = slice(portion.tokens)
        for matrices in self._layers:
            for matrix, into, out in zip(matrices, self._inputs, self._outputs, strict=True):
                torch.mm(into[cut], matrix.t(), out=out[cut])
        self._run_head(portion.labels)
        for matrices in reversed(self._layers):
            for matrix, out, into in zip(matrices, self._outputs, self._gradients, strict=True):
                torch.mm(out[cut], matrix, out=into[cut])

    def _run_head(self, labels: int) -> None:
        for start in range(0, labels, CHUNK):
            chunk = slice(start, min(start + CHUNK, labels))
            logits = self._logits[: chunk.stop - start]
            torch.mm(self._rows[chunk], self._head.t(), out=logits)
            torch.mm(logits, self._head, out=self._d_rows[chunk])


def _drawn(rows: int, columns: int) -> Tensor:
    """Neither zeros nor large: products with them are of the same size again."""
    return torch.randn(rows, columns).mul_(columns**-0.5).to(torch.bfloat16)

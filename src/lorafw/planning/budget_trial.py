"""Which token budget trains fastest here: a trial of a few, before the first step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.trainer import TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.training.batches import BatchPlan, MicroBatch
from lorafw.training.collation import collated
from lorafw.training.gradient_checkpointing import recomputed, to_recompute
from lorafw.training.guards.memory import free_what_failed, is_out_of_memory
from lorafw.training.loss_module import LossModule
from lorafw.types import Batch

BUDGETS = (1024, 2048, 4096, 8192)
ROUNDS = 2
WORTH = 0.03
"""Share of the time that a larger budget has to save to be worth its memory."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial has shown.

    Attributes:
        chosen: the budget.
        tokens_per_second: of every budget that was tried, padding not counted; empty where all of
            them cut the rows alike.
    """

    chosen: int
    tokens_per_second: Mapping[int, float]

    def __str__(self) -> str:
        tried = ", ".join(f"{b}: {speed:.0f}" for b, speed in self.tokens_per_second.items())
        what = f" (tokens per second: {tried})" if tried else ", as all cut the first rows alike"
        return f"Calibrated: plan.micro_batch_tokens: {self.chosen}{what}."


def try_budgets(job: TrainJob, device: torch.device, ranks: int, most: int) -> Trial:
    """Train the first rows, cut by one budget after the other, without any update.

    It leaves no trace: no gradient, no random number drawn, nothing that an adapter remembers.

    Args:
        job: with a fresh adapter, on the device, and no engine open yet.
        device: of this process; the others wait.
        ranks: that share a global batch.
        most: no larger budget is tried, but the smallest always is.
    """
    budgets = [budget for budget in BUDGETS if budget <= most] or [BUDGETS[0]]
    cuts = _cuts(job, ranks, budgets)
    smallest = min(cuts)
    if len(cuts) == 1:
        return Trial(smallest, {})
    with _without_trace(job.model, device):
        seconds = _seconds(job, device, cuts)
    lengths = lengths_of(job.rows)
    tokens = sum(lengths[row] for part in cuts[smallest] for row in part.rows)
    limit = min(seconds.values(), default=math.inf) / (1 - WORTH)
    chosen = next((budget for budget, took in seconds.items() if took <= limit), smallest)
    return Trial(chosen, {budget: tokens / took for budget, took in seconds.items()})


def _cuts(job: TrainJob, ranks: int, budgets: Sequence[int]) -> dict[int, list[MicroBatch]]:
    """The same rows, as many as the largest budget holds, in micro-batches of each budget.

    A budget that cuts them like a smaller one is left out. A rank never has more rows at once than
    its share of a global batch, so where those are few, large budgets are all alike.
    """
    lengths = lengths_of(job.rows)
    mean = sum(lengths) / len(lengths)
    share = max(1, job.plan.global_batch_size // ranks)
    enough = min(max(budgets), 2 * mean * share)
    rows = min(share, math.ceil(enough / mean))
    found: dict[int, list[MicroBatch]] = {}
    for budget in budgets:
        cut = BatchPlan(lengths, rows, budget, job.layout, job.seed)
        steps = min(cut.steps_per_epoch, math.ceil(enough / (rows * mean)))
        parts = [part for step in range(steps) for part in cut.step(step, 0, 1)]
        if parts not in found.values():
            found[budget] = parts
    return found


def _seconds(
    job: TrainJob, device: torch.device, cuts: Mapping[int, list[MicroBatch]]
) -> dict[int, float]:
    """The best time of each budget; one for which memory does not suffice is out of the race."""
    module = LossModule(job.model.bundle, job.objective, job.model.penalty).eval()
    best: dict[int, float] = {}
    with recomputed(to_recompute(job.model.bundle, job.plan.activations)):
        _unless_too_large(module, job, _batches(job, cuts[min(cuts)], device))  # warms up
        for budget, parts in [*cuts.items()] * ROUNDS:
            took = _unless_too_large(module, job, _batches(job, parts, device))
            best[budget] = min(took, best.get(budget, math.inf))
    return {budget: took for budget, took in best.items() if math.isfinite(took)}


def _batches(job: TrainJob, parts: Sequence[MicroBatch], device: torch.device) -> list[Batch]:
    return list(collated(job, job.rows, parts, device))


def _unless_too_large(module: LossModule, job: TrainJob, batches: Sequence[Batch]) -> float:
    try:
        return _timed(module, job, batches)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    free_what_failed()
    return math.inf


def _timed(module: LossModule, job: TrainJob, batches: Sequence[Batch]) -> float:
    """Seconds of forward and backward passes over these micro-batches."""
    counts = [job.objective.counts(batch) for batch in batches]
    totals = {unit: float(sum(count[unit] for count in counts)) for unit in counts[0]}
    began = time.perf_counter()
    for batch in batches:
        loss = module(batch.inputs, batch.labels, totals)
        loss.backward()
        float(loss.detach())  # waits for an accelerator
    return time.perf_counter() - began


@contextmanager
def _without_trace(model: AdaptedModel, device: torch.device) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    model.train(mode=True)
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        model.train(mode=False)
        for parameter in model.trainable().values():
            parameter.grad = None

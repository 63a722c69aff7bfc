"""How fast this machine trains this model: a micro-batch, trained for some seconds."""

from __future__ import annotations

import time

from lorafw.assembly.compose import Parts
from lorafw.contracts.model import ModelRequest
from lorafw.planning.forecast import Forecast, Rows
from lorafw.training.gradient_checkpointing import recomputed, to_recompute
from lorafw.training.loss_module import LossModule
from lorafw.training.process_group import local_device
from lorafw.types import Batch

SECONDS = 10.0


def seconds_per_cell(parts: Parts, rows: Rows, forecast: Forecast) -> float:
    """Seconds of forward and backward pass over the cells of the largest micro-batch.

    The first pass warms up and does not count, unless it takes all the time there is.

    Raises:
        ModelError: the weights cannot be read.
    """
    device = local_device()
    labels = parts.dataset.labels
    request = ModelRequest(parts.objective.task, device, rows.seed, labels)
    model = parts.injector.inject(parts.model.build(request, rows.tokenizer))
    model.reset(rows.seed)
    chosen = [rows.prepared.rows[row] for row in forecast.portions.largest]
    batch = rows.encoder.collate(chosen, forecast.layout, model.bundle.pad_id).to(device)
    module = LossModule(model.bundle, parts.objective, model.penalty).eval()
    twice = to_recompute(model.bundle, parts.plan.activations)
    totals = {unit: float(n) for unit, n in parts.objective.counts(batch).items()}
    with recomputed(twice):
        passes = _timed(module, batch, totals)
    return min(passes) / forecast.portions.largest_cells


def _timed(module: LossModule, batch: Batch, totals: dict[str, float]) -> list[float]:
    """Seconds of each pass, as many as there is time for, at most five."""
    passes: list[float] = []
    while len(passes) < 5 and sum(passes) < SECONDS:
        began = time.perf_counter()
        loss = module(batch.inputs, batch.labels, totals)
        loss.backward()
        float(loss.detach())  # waits for an accelerator
        passes.append(time.perf_counter() - began)
    return passes

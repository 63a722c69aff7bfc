"""What is known of a run before it runs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lorafw.assembly.compose import Parts
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.model import ModelBundle, ModelRequest
from lorafw.contracts.plan import Activations, TrainPlan
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.packed import lengths_of
from lorafw.data.encoded.prepare import Prepared
from lorafw.planning.portions import Portions, portions
from lorafw.planning.rank_memory import RankMemory, rank_memory
from lorafw.planning.step_memory import step_memory
from lorafw.planning.task_portions import task_portions
from lorafw.types import Layout, Tokenizer

_SOON_OVER = "a run as short as this is over before its memory is told"


@dataclass(frozen=True, slots=True)
class Rows:
    """The training rows of a run, and what made them.

    Attributes:
        prepared: the rows.
        encoder: that encoded them, and puts them together.
        tokenizer: of the model.
        seed: of the run.
    """

    prepared: Prepared
    encoder: Encoder
    tokenizer: Tokenizer
    seed: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will be.

    Attributes:
        world_size: ranks.
        layout: how rows share a batch.
        activations, micro_batch_tokens: of the plan that it was made for.
        portions: how the rows are cut.
        memory: of each rank; None if it could not be told.
        parameters: numbers in the model, and
        trainable: those of them that are trained; None likewise.
        unknown: why memory could not be told; empty if it could.
    """

    world_size: int
    layout: Layout
    portions: Portions
    activations: Activations
    micro_batch_tokens: int
    memory: RankMemory | None = None
    parameters: int | None = None
    trainable: int | None = None
    unknown: str = ""

    def record(self) -> dict[str, Any]:
        """Plain values, as in `run.json` and in `lorafw plan --json`."""
        cut = asdict(self.portions)
        del cut["largest"]
        memory = self.memory
        return {
            "world_size": self.world_size,
            "layout": self.layout.value,
            "activations": self.activations,
            "micro_batch_tokens": self.micro_batch_tokens,
            "parameters": self.parameters,
            "trainable": self.trainable,
            **cut,
            "memory": asdict(memory) if memory else None,
            "peak_bytes": memory.total if memory else None,
            **({"unknown": self.unknown} if self.unknown else {}),
        }


def forecast(parts: Parts, rows: Rows, world_size: int, *, least: int = 0) -> Forecast:
    """Tell what a run will be; weights are not read.

    What stands in the way of telling its memory is told instead, whatever it is: no run may fail
    for want of a forecast.

    Args:
        parts: of the run.
        rows: that it trains on.
        world_size: ranks.
        least: arithmetic operations of the whole run below which its memory is not told.
    """
    if not parts.model.builds_without_weights:
        reason = "the model can only be built with its weights"
        return _without_memory(parts, rows, world_size, reason)
    try:
        return _with_memory(parts, rows, world_size, least)
    except Exception as error:  # noqa: BLE001 - models do what they will with numbers of no value
        told = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        return _without_memory(parts, rows, world_size, f"it failed without weights: {told}")


def _without_memory(parts: Parts, rows: Rows, world_size: int, unknown: str) -> Forecast:
    wish = parts.plan.layout
    layout = Layout.SEGMENTS if wish == "segments" else Layout.PADDED
    cut = _portions(parts, rows, world_size, layout)
    return Forecast(world_size, layout, cut, **_told_of(parts.plan), unknown=unknown)


def _with_memory(parts: Parts, rows: Rows, world_size: int, least: int) -> Forecast:
    labels = parts.dataset.labels
    request = ModelRequest(parts.objective.task, torch.device("meta"), rows.seed, labels)
    with torch.random.fork_rng(devices=[]):
        bundle = parts.model.build(request, rows.tokenizer)
        layout = parts.layouts(bundle)[0]
        cut = _portions(parts, rows, world_size, layout)
        if _operations(bundle, cut) < least:
            return Forecast(world_size, layout, cut, **_told_of(parts.plan), unknown=_SOON_OVER)
        largest = [rows.prepared.rows[row] for row in cut.largest]
        batch = rows.encoder.collate(largest, layout, bundle.pad_id)
        passes = math.ceil(cut.micro_batches * cut.steps)
        step = step_memory(bundle, parts.injector, parts.objective, parts.plan, batch, passes)
    return Forecast(
        world_size=world_size,
        layout=layout,
        portions=cut,
        **_told_of(parts.plan),
        memory=rank_memory(step, parts.trainer, world_size),
        parameters=step.parameters,
        trainable=step.trainable,
    )


def _told_of(plan: TrainPlan) -> dict[str, Any]:
    return {"activations": plan.activations, "micro_batch_tokens": plan.token_budget}


def _operations(bundle: ModelBundle, cut: Portions) -> int:
    """Two in each direction for every number of the model and cell (arXiv:2001.08361, 2.1)."""
    return 4 * sum(p.numel() for p in bundle.module.parameters()) * cut.cells


def _portions(parts: Parts, rows: Rows, world_size: int, layout: Layout) -> Portions:
    found, cut = rows.prepared.rows, (parts.plan, layout, rows.seed, world_size)
    if isinstance(found, JoinedRows):
        return task_portions(found, [task.epochs for task in parts.tasks], *cut)
    return portions(lengths_of(found), *cut)

"""`lorafw.plan`: what a run will take, from its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import AnyConfig, RunConfig, as_config
from lorafw.assembly.registry import Registry
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.place import cache_folder
from lorafw.data.cache.rows import RowCache
from lorafw.data.rendering.context import within_context
from lorafw.planning.advice import advice
from lorafw.planning.calibration import seconds_per_cell
from lorafw.planning.forecast import Forecast, Rows, forecast
from lorafw.planning.process_memory import available_memory
from lorafw.types import Split


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run will take, and what could be chosen better.

    Attributes:
        forecast: how it is cut, and its memory.
        available: bytes that a rank may take; None if nobody knows.
        seconds: how long all steps take together; None without calibration.
        advice: sentences.
    """

    forecast: Forecast
    available: int | None
    seconds: float | None
    advice: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.forecast.record(),
            "available_bytes": self.available,
            "seconds": self.seconds,
            "advice": list(self.advice),
        }


def plan(
    config: AnyConfig,
    *,
    nproc: int = 1,
    memory: int | None = None,
    calibrate: bool = False,
) -> RunPlan:
    """What a run of this config would take; what `lorafw plan` tells.

    Rows are encoded, or found encoded; weights are read only to calibrate.

    Args:
        config: a config, plain values laid out as in a config file, or the path of such a file.
        nproc: ranks, all on this machine.
        memory: bytes that a rank may take; by default its share of what is free here.
        calibrate: train a micro-batch for up to ten seconds to tell how long steps take.

    Raises:
        LorafwError: what is wrong with the config or the rows.
    """
    registry = Registry()
    settled = as_config(config, registry)
    parts = compose(settled, registry)
    rows = _rows(settled, parts)
    found = forecast(parts, rows, nproc)
    each = seconds_per_cell(parts, rows, found) if calibrate else None
    free = available_memory()
    available = memory or (free and free // nproc)
    return RunPlan(
        forecast=found,
        available=available,
        seconds=None if each is None else each * found.portions.cells / nproc,
        advice=tuple(advice(found, parts.plan, available)),
    )


def _rows(config: RunConfig, parts: Parts) -> Rows:
    tokenizer = parts.model.tokenizer()
    encoder = within_context(parts.encoder, tokenizer)
    cache = RowCache(cache_folder() if config.run.cache else None, lambda _: None)
    prepared = cache.prepare(Recipe(parts.dataset, encoder, tokenizer, Split.TRAIN))
    return Rows(prepared, encoder, tokenizer, config.run.seed)

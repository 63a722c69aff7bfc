"""`lorafw.plan`: what a run will take, from its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import AnyConfig, RunConfig, as_config
from lorafw.assembly.registry import Registry
from lorafw.contracts.plan import Activations
from lorafw.data.cache.place import cache_folder
from lorafw.data.cache.rows import RowCache
from lorafw.data.cache.run_rows import joined, prepare_each, sources_of
from lorafw.data.rendering.context import within_context
from lorafw.planning.advice import advice
from lorafw.planning.calibration import seconds_per_cell
from lorafw.planning.forecast import Forecast, Rows, forecast
from lorafw.planning.process_memory import available_memory
from lorafw.planning.settling import LADDER, settle, settled_plan
from lorafw.types import Split


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run will take, and what could be chosen better.

    Attributes:
        forecast: how it is cut, and its memory.
        available: bytes that a rank may take; None if nobody knows.
        seconds: how long all steps take together; None without calibration.
        advice: sentences.
        settled: why activations or token budget are not what they usually are; empty if they are.
        policies: bytes of a rank under each policy of activations; None if a model has not got it.
    """

    forecast: Forecast
    available: int | None
    seconds: float | None
    advice: tuple[str, ...]
    settled: str = ""
    policies: Mapping[str, int | None] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.forecast.record(),
            "available_bytes": self.available,
            "seconds": self.seconds,
            "advice": list(self.advice),
            "settled": self.settled,
            "policies": dict(self.policies),
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
    free = available_memory()
    available = memory or (free and free // nproc)
    foretell = cache(lambda activations, tokens: _foretold(parts, rows, nproc, activations, tokens))
    choice = settle(parts.plan, lambda p: foretell(p.activations, p.token_budget), available)
    found = choice.forecast
    own = replace(parts, plan=choice.plan)
    each = seconds_per_cell(own, rows, found) if calibrate else None
    policies = _policies(foretell, found)
    return RunPlan(
        forecast=found,
        available=available,
        seconds=None if each is None else each * found.portions.cells / nproc,
        advice=tuple(advice(found, parts.plan, available, policies)),
        settled=choice.told,
        policies=policies,
    )


def _policies(
    foretell: Callable[[Activations, int], Forecast], found: Forecast
) -> dict[str, int | None]:
    """What a rank takes under each policy, with the budget at hand; empty if nobody knows."""
    if found.memory is None:
        return {}
    every = {way: foretell(way, found.micro_batch_tokens).memory for way in LADDER}
    return {way: None if memory is None else memory.total for way, memory in every.items()}


def _foretold(
    parts: Parts, rows: Rows, nproc: int, activations: Activations, tokens: int
) -> Forecast:
    plan = settled_plan(parts.plan, activations, tokens)
    return forecast(replace(parts, plan=plan), rows, nproc)


def _rows(config: RunConfig, parts: Parts) -> Rows:
    tokenizer = parts.model.tokenizer()
    encoder = within_context(parts.encoder, tokenizer)
    cache = RowCache(cache_folder() if config.run.cache else None, lambda _: None)
    sources = sources_of(parts, tokenizer, parts.plan.epochs)
    prepared = prepare_each(sources, tokenizer, Split.TRAIN, cache, lambda _: None)
    return Rows(joined(sources, prepared), encoder, tokenizer, config.run.seed)

"""Trains a config's first steps in every way this machine offers and compares the results."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lorafw.assembly.compose import Parts, compose
from lorafw.assembly.config import AnyConfig, RunConfig, as_config, resolved, write_resolved
from lorafw.assembly.registry import Registry
from lorafw.data.cache.place import cache_folder
from lorafw.data.cache.rows import RowCache
from lorafw.data.cache.run_rows import joined, prepare_each, sources_of
from lorafw.errors import CompositionError, UsageError
from lorafw.training.launching import under_launcher
from lorafw.types import Capability, Split
from lorafw.verification.assignment import CONFIG, ROWS
from lorafw.verification.comparison import Comparison, Say, skipped
from lorafw.verification.machine import usual_ranks
from lorafw.verification.parts import injectors, trainers
from lorafw.verification.randomness import settled_injector, what_stays
from lorafw.verification.report import Report, Row
from lorafw.verification.rows import Rows, first_steps

STEPS = 3


def _silent(line: str) -> None:
    """For those who do not listen."""


@dataclass(frozen=True, slots=True)
class Request:
    """How much is compared.

    Attributes:
        steps: optimizer steps of every run.
        ranks: how many processes; empty for what suits the machine.
        trainers: which ones, by name; empty for all that are installed.
        budgets: most tokens of a micro-batch; empty for the config's own and one row at a time.
    """

    steps: int = STEPS
    ranks: Sequence[int] = ()
    trainers: Sequence[str] = ()
    budgets: Sequence[int] = ()


def verify(
    config: AnyConfig,
    request: Request | None = None,
    *,
    say: Say = _silent,
) -> Report:
    """Compare every way of training a config; what `lorafw verify` does.

    The reference is the config's own trainer on one rank, each row in a micro-batch of its own.
    Nothing is written but encoded rows, into the cache that runs use.

    Args:
        config: a config, plain values laid out as in a config file, or the path of such a file.
        request: how much is compared.
        say: told what goes on, line by line.

    Raises:
        LorafwError: what is wrong with the config; or the reference itself failed.
    """
    if under_launcher():
        raise UsageError("`lorafw verify` starts processes itself; call it without a launcher.")
    registry = Registry()
    config = as_config(config, registry)
    parts, off = _settled(compose(config, registry))
    with tempfile.TemporaryDirectory(prefix="lorafw-verify-") as place:
        folder = Path(place)
        comparison, unfit = _prepared(folder, config, parts, registry, request or Request(), say)
        rows = [*comparison.rows(), *unfit]
        facts = comparison.facts
        return Report(
            reference=_told(parts, facts["layouts"][0]),
            dtype=facts["dtype"],
            steps=comparison.steps,
            rows=rows,
            limits=comparison.limits,
            random=[*off, *facts["off"], *what_stays(parts.plan)],
        )


def _settled(parts: Parts) -> tuple[Parts, list[str]]:
    """The parts without what the injector draws per split.

    Raises:
        CompositionError: that cannot be switched off.
    """
    injector, off = settled_injector(parts.injector)
    if Capability.SPLIT_DEPENDENT in injector.capabilities:
        raise CompositionError(
            f"what injector '{parts.names['injector']}' draws depends on the split, and no option "
            "switches it off: there is nothing to compare."
        )
    return replace(parts, injector=injector), off


def _prepared(
    folder: Path, config: RunConfig, parts: Parts, registry: Registry, request: Request, say: Say
) -> tuple[Comparison, list[Row]]:
    """Lay down config and rows; what is compared, and what cannot be."""
    ways, unfit = trainers(parts, registry, request.trainers)
    adapters, unable = injectors(parts, registry)
    write_resolved(resolved(config, parts), folder / CONFIG)
    _rows(config, parts, request.steps, say).write(folder / ROWS)
    comparison = Comparison(
        folder=folder,
        trainers=ways,
        injectors=adapters,
        budgets=request.budgets or (parts.plan.token_budget, 1),
        ranks=request.ranks or usual_ranks(),
        steps=request.steps,
        own=parts.names["trainer"],
        say=say,
    )
    others = [skipped("", each.reason, injector=each.label) for each in unable]
    return comparison, [*(skipped(each.label, each.reason) for each in unfit), *others]


def _rows(config: RunConfig, parts: Parts, steps: int, say: Say) -> Rows:
    """The rows of the run's first steps."""
    tokenizer = parts.model.tokenizer()
    cache = RowCache(cache_folder() if config.run.cache else None, say)
    sources = sources_of(parts, tokenizer, parts.plan.epochs)
    train, held_out = (
        joined(sources, prepare_each(sources, tokenizer, split, cache, lambda _: None)).rows
        for split in (Split.TRAIN, Split.EVAL)
    )
    if not held_out:
        say("There are no held-out rows: figures are measured on training rows.")
    batch = parts.plan.global_batch_size
    return first_steps(train, held_out, steps=steps, batch=batch, seed=config.run.seed)


def _told(parts: Parts, layout: str) -> str:
    trainer, injector = parts.names["trainer"], parts.names["injector"]
    return f"{trainer} on 1 rank, {injector}, {layout}, every row in a micro-batch of its own"

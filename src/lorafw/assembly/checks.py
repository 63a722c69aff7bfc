"""Do the chosen parts fit together? One function per question, each answered without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from lorafw.assembly.optimizers import chosen_optimizer
from lorafw.assembly.prefix_check import prefix_can_be_kept
from lorafw.errors import CompositionError, ConfigError
from lorafw.types import Capability

if TYPE_CHECKING:
    from lorafw.assembly.compose import DataParts, Parts

Check = Callable[["Parts"], None]
DataCheck = Callable[["DataParts"], None]
"""Raises CompositionError, with the reason, when parts do not fit."""


def model_knows_the_task(parts: DataParts) -> None:
    """The model can be built for what the objective trains."""
    task = parts.objective.task
    if task not in parts.model.tasks:
        known = ", ".join(sorted(parts.model.tasks))
        raise CompositionError(
            f"model '{parts.names['model']}' cannot do {task}, which objective "
            f"'{parts.names['objective']}' trains; it can do: {known}.",
        )


def encoder_is_for_the_task(parts: DataParts) -> None:
    """The encoder makes rows of the kind that the objective reads."""
    if parts.encoder.task is not parts.objective.task:
        raise CompositionError(
            f"encoder '{parts.names['encoder']}' is for {parts.encoder.task}, "
            f"objective '{parts.names['objective']}' is for {parts.objective.task}.",
        )


def encoder_accepts_the_rows(parts: DataParts) -> None:
    """The encoder can read the examples that the data set produces; of tasks, see `tasks_fit`."""
    if parts.tasks:
        return
    produced = parts.dataset.produces
    if not issubclass(produced, parts.encoder.accepts):
        accepted = ", ".join(kind.__name__ for kind in parts.encoder.accepts)
        raise CompositionError(
            f"dataset '{parts.names['dataset']}' produces {produced.__name__}, "
            f"encoder '{parts.names['encoder']}' accepts {accepted}.",
            mend="Choose another encoder: --encoder NAME",
        )


def injector_survives_sharding(parts: Parts) -> None:
    """Parameters that are partitioned over ranks need an injector that works on shards."""
    whole = Capability.WHOLE_PARAMETERS in parts.trainer.capabilities
    if not whole and Capability.SHARDABLE in parts.model.rules_out:
        raise CompositionError(
            f"trainer '{parts.names['trainer']}' partitions parameters over ranks, which model "
            f"'{parts.names['model']}' does not allow with these options.",
            mend="Keep parameters whole, or leave model.quantize out.",
        )
    if not whole and Capability.SHARDABLE not in parts.injector.capabilities:
        raise CompositionError(
            f"trainer '{parts.names['trainer']}' partitions parameters over ranks, and injector "
            f"'{parts.names['injector']}' needs them whole.",
            mend="Choose another injector, or options that keep parameters whole.",
        )


def injector_takes_the_layout(parts: Parts) -> None:
    """Segments are asked for only where the injector can take them."""
    asked = parts.plan.layout == "segments"
    if asked and Capability.SEGMENTS not in parts.injector.capabilities:
        raise CompositionError(
            f"plan.layout is segments, which injector '{parts.names['injector']}' cannot take.",
            mend="Set plan.layout to auto or padded.",
        )


def optimizer_gets_what_it_looks_at(parts: Parts) -> None:
    """An optimizer that looks at whole tensors computes something else on parts of them.

    Raises:
        ConfigError: there is no such optimizer, or it has no such options.
    """
    plan, trainer = parts.plan, parts.trainer
    if plan.optimizer == "adamw" and not plan.optimizer_options:
        return  # torch is not imported for what nearly every run asks for
    choice = chosen_optimizer(plan)
    if not choice.element_wise and Capability.WHOLE_OPTIMIZER not in trainer.capabilities:
        raise CompositionError(
            f"{plan.optimizer} looks at whole tensors, which trainer '{parts.names['trainer']}' "
            "cuts into pieces with these options.",
            where="plan.optimizer",
            mend="Choose one that works number by number (adamw, lion, sgd), or a trainer that "
            "keeps the optimizer whole (ddp; deepspeed with zero_stage 0).",
        )


def exporters_get_what_they_require(parts: Parts) -> None:
    """Every exporter can do its work on what the injector makes."""
    for name, exporter in zip(parts.names["exporters"], parts.exporters, strict=True):
        if barred := exporter.requires & parts.model.rules_out:
            raise CompositionError(
                f"exporter '{name}' requires {', '.join(sorted(barred))}, which model "
                f"'{parts.names['model']}' does not allow with these options.",
                mend="Export the adapter, and merge it into the base without model.quantize.",
            )
        if lacking := exporter.requires - parts.injector.capabilities:
            raise CompositionError(
                f"exporter '{name}' requires {', '.join(sorted(lacking))}, which injector "
                f"'{parts.names['injector']}' does not offer with these options.",
            )


def parts_are_listed_once(parts: Parts) -> None:
    """Two exporters of one name would write the same folder; two listeners would say all twice."""
    for section in ("exporters", "listeners"):
        for name, count in Counter(parts.names[section]).items():
            if count > 1:
                raise CompositionError(f"'{name}' is listed {count} times in {section}.")


def evaluations_can_decide(parts: Parts) -> None:
    """The objective gives the figure that decides, and there are evaluations to decide by.

    Raises:
        ConfigError: an option of the plan cannot do what it is there for.
    """
    plan = parts.plan
    parts.objective.higher_is_better(plan.metric_for_best)
    if plan.decides_by_evaluation and plan.evaluate_every is None:
        raise ConfigError(
            "needs evaluations on the way.",
            where=f"plan.{plan.decides_by_evaluation}",
            mend="Set plan.evaluate_every to a number of steps, or to epoch.",
        )


DATA_CHECKS: tuple[DataCheck, ...] = (
    model_knows_the_task,
    encoder_is_for_the_task,
    encoder_accepts_the_rows,
)
"""Questions about the parts that turn rows into token ids."""

CHECKS: tuple[Check, ...] = (
    *DATA_CHECKS,
    injector_survives_sharding,
    injector_takes_the_layout,
    prefix_can_be_kept,
    exporters_get_what_they_require,
    parts_are_listed_once,
)
"""All questions, in the order they are asked."""

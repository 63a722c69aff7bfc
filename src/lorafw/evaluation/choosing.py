"""Which metrics are measured: those that are asked for, or those that suit the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from lorafw.assembly.draft import split_assignment
from lorafw.assembly.registry import Registry
from lorafw.contracts.metric import Metric
from lorafw.errors import ConfigError, UsageError
from lorafw.evaluation.asking import OFFERED
from lorafw.figures.numbers import MARK
from lorafw.types import (
    ChatExample,
    ChoiceExample,
    Example,
    LabeledExample,
    PromptExample,
    TextExample,
)

LOSS = "loss"
"""Measured of every row that a language model learns from, asked for or not."""


def usual_metrics(examples: Sequence[Example]) -> tuple[str, ...]:
    """Names of the metrics that suit rows when none is asked for; they need no further package."""
    first = examples[0]
    if isinstance(first, ChoiceExample):
        return (LOSS, "choices")
    if isinstance(first, PromptExample):
        calculates = all(MARK in each.response for each in _pairs(examples))
        return (LOSS, "gsm8k" if calculates else "exact-match")
    if isinstance(first, ChatExample):
        return (LOSS, "exact-match")
    if isinstance(first, TextExample):
        return (LOSS,)
    if isinstance(first, LabeledExample):
        return ("classes",)
    raise UsageError(f"rows are {type(first).__name__}, of which nothing can be measured yet.")


def build_metrics(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]], kind: type[Example]
) -> dict[str, Metric]:
    """The metrics by name, each able to do its work on rows of a kind.

    Args:
        names: as a user writes them; each once.
        options: of some of them, by name.
        kind: of the rows.

    Raises:
        ConfigError: an option is wrong, or of a metric that is not measured.
        PluginError: there is no such metric.
        UsageError: a metric cannot be had of such rows.
        LorafwError: a package that a metric needs is not installed.
    """
    supervised = issubclass(kind, OFFERED[_reads(LOSS)])
    wanted = dict.fromkeys((LOSS, *names) if supervised else names)
    for name in options:
        if name not in wanted:
            where = f"-o {name}.…"
            raise ConfigError(f"metric '{name}' is not measured.", where=where, mend="Add it.")
    return {name: _built(name, options.get(name, {}), kind) for name in wanted}


def split_options(
    assignments: Iterable[str], metrics: Iterable[str]
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """`KEY=VALUE` assignments, those of metrics apart: `bleu.tokenize=zh`.

    Raises:
        ConfigError: one has another form.
    """
    known, rest, found = set(metrics), [], dict[str, dict[str, Any]]()
    for assignment in assignments:
        key, value = split_assignment(assignment)
        metric, _, option = key.partition(".")
        if metric in known and option:
            found.setdefault(metric, {})[option] = value
        elif metric == "dataset":
            rest.append(assignment)
        else:
            mend = f"Set options of dataset, or of a metric: {', '.join(sorted(known))}."
            raise ConfigError("is neither dataset nor metric.", where=f"-o {key}", mend=mend)
    return rest, found


def _reads(name: str) -> Any:
    return cast("type[Metric]", Registry().load("metric", name)).reads


def _built(name: str, options: Mapping[str, Any], kind: type[Example]) -> Metric:
    part = cast("type[Metric]", Registry().load("metric", name))
    offered = OFFERED.get(part.reads, ())
    if not issubclass(kind, offered):
        of = " or ".join(each.__name__ for each in offered) or "no rows there are"
        raise UsageError(f"metric '{name}' is of {of}; these rows are {kind.__name__}.")
    metric = part.from_mapping(options, where=name)
    metric.preflight()
    return metric


def _pairs(examples: Sequence[Example]) -> Iterable[PromptExample]:
    return (each for each in examples if isinstance(each, PromptExample))

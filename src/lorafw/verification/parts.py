"""The trainers and injectors of this machine that can stand in for those of a config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from lorafw.assembly.checks import injector_survives_sharding, optimizer_gets_what_it_looks_at
from lorafw.assembly.compose import Parts
from lorafw.assembly.registry import Registry
from lorafw.contracts.component import Component
from lorafw.contracts.trainer import Trainer
from lorafw.errors import LorafwError
from lorafw.verification.cases import Part

PATIENCE_MINUTES = 5.0
"""How long a rank waits for another here: ranks that lost each other must not wait for long."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A part that cannot stand in, and why."""

    label: str
    reason: str


def trainers(
    parts: Parts, registry: Registry, names: Sequence[str]
) -> tuple[list[Part], list[Unfit]]:
    """Every way of every trainer that can train this config.

    Args:
        parts: of the config.
        registry: the installed parts.
        names: which trainers to take; empty for all that are installed.

    Raises:
        PluginError: a trainer that was named is not there.
    """
    fit: list[Part] = []
    unfit: list[Unfit] = []
    for name in names or registry.names("trainer"):
        try:
            ways = _ways(parts, registry, name)
        except LorafwError as error:
            if names:
                raise
            unfit.append(Unfit(name, str(error)))
            continue
        faults = {label: _fault(parts, name, way) for label, way in ways.items()}
        fit += [_part(label, name, ways[label]) for label, fault in faults.items() if not fault]
        unfit += [Unfit(label, fault) for label, fault in faults.items() if fault]
    return fit, unfit


def _ways(parts: Parts, registry: Registry, name: str) -> dict[str, Trainer]:
    """A trainer in all its ways, each labelled by the options in which they differ."""
    trainer = parts.trainer
    if not _same(registry, "trainer", name, parts.names["trainer"]):
        kind = registry.load("trainer", name)
        trainer = cast("Trainer", kind.from_mapping({}, where="trainer"))
    trainer.preflight()
    ways = trainer.variants()
    told = _telling([way.model_dump() for way in ways])
    return {_label(name, way.model_dump(), told): way for way in ways}


def _telling(ways: Sequence[dict[str, Any]]) -> list[str]:
    """The one option that tells all ways apart; without one, all in which any two differ."""
    differing = [key for key in ways[0] if any(way[key] != ways[0][key] for way in ways)]
    alone = [key for key in differing if len({str(way[key]) for way in ways}) == len(ways)]
    return alone[:1] or differing


def _label(name: str, options: dict[str, Any], told: Iterable[str]) -> str:
    said = [f"{key}={options[key]}" for key in told if options[key] is not None]
    return " ".join([name, *said])


def _fault(parts: Parts, name: str, trainer: Trainer) -> str:
    """Why a trainer cannot train these parts; empty if it can."""
    tried = replace(parts, trainer=trainer, names={**parts.names, "trainer": name})
    try:
        injector_survives_sharding(tried)
        optimizer_gets_what_it_looks_at(tried)
    except LorafwError as error:
        return str(error)
    return ""


def injectors(parts: Parts, registry: Registry) -> tuple[list[Part], list[Unfit]]:
    """The config's injector, and every other that takes the same options.

    One that has no option in common makes something else, and is no matter here.
    """
    own = parts.names["injector"]
    fit, unfit = [_part(own, own, parts.injector)], list[Unfit]()
    for name in _others(registry, "injector", own):
        try:
            if found := _expressed(parts, registry, name):
                fit.append(_part(name, name, found))
        except LorafwError as error:
            unfit.append(Unfit(name, str(error)))
    return fit, unfit


def _expressed(parts: Parts, registry: Registry, name: str) -> Component | None:
    """An injector of another kind that makes the same adapter; None if it makes none such."""
    kind = registry.load("injector", name)
    if not kind.model_fields.keys() & type(parts.injector).model_fields.keys():
        return None
    injector = kind.from_mapping(parts.injector.model_dump(exclude_defaults=True), where="injector")
    injector.preflight()
    return injector


def _others(registry: Registry, kind: str, own: str) -> Iterator[str]:
    return (name for name in registry.names(kind) if not _same(registry, kind, name, own))


def _same(registry: Registry, kind: str, one: str, other: str) -> bool:
    return registry.find(kind, one).value == registry.find(kind, other).value


def _part(label: str, name: str, component: Component) -> Part:
    options = component.model_dump(mode="json")
    if "timeout_minutes" in options:
        options["timeout_minutes"] = min(options["timeout_minutes"], PATIENCE_MINUTES)
    return Part(label, name, options)

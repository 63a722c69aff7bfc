"""Builds the parts a config names and makes sure they fit, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lorafw.assembly.checks import CHECKS
from lorafw.assembly.config import Choice, RunConfig
from lorafw.assembly.draft import SEVERAL
from lorafw.assembly.registry import Registry
from lorafw.contracts.component import Component
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.exporter import Exporter
from lorafw.contracts.injector import LoRAInjector
from lorafw.contracts.listener import Listener
from lorafw.contracts.model import ModelBuilder
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Scenario
from lorafw.contracts.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a run, built and found to fit.

    Attributes:
        names: what the config calls each: a name by kind, a tuple for exporters and listeners.
        plan: the config's plan.
        versions: version of every distribution that brings one of the parts.
    """

    dataset: DatasetAdapter
    model: ModelBuilder
    injector: LoRAInjector
    trainer: Trainer
    encoder: Encoder
    objective: Objective
    scenario: Scenario
    exporters: tuple[Exporter, ...]
    listeners: tuple[Listener, ...]
    names: Mapping[str, Any]
    plan: TrainPlan = field(default_factory=TrainPlan)
    versions: Mapping[str, str] = field(default_factory=dict)


def compose(config: RunConfig, registry: Registry) -> Parts:
    """Build every part of a config.

    Raises:
        PluginError: a part is unknown or broken.
        ConfigError: an option is wrong; the error says where it was written.
        CompositionError: the parts do not fit.
        LorafwError: a part's `preflight` found something missing.
    """
    builder = _Builder(config, registry)
    parts = builder.parts()
    builder.preflight()
    for check in CHECKS:
        check(parts)
    return parts


class _Builder:
    def __init__(self, config: RunConfig, registry: Registry) -> None:
        self._config, self._registry = config, registry
        self._built: list[tuple[Choice, Component]] = []

    def parts(self) -> Parts:
        config = self._config
        model = cast("ModelBuilder", self._build(config.model))
        objective = cast("Objective", self._build(config.objective))
        rest: dict[str, Any] = {
            kind: self._build(getattr(config, kind))
            for kind in ("dataset", "injector", "trainer", "scenario")
        } | {section: self._build_all(getattr(config, section)) for section in SEVERAL}
        return Parts(
            model=model,
            objective=objective,
            encoder=cast("Encoder", self._build(_encoder(config, model, objective))),
            plan=config.plan,
            names=self._names(),
            versions=self._versions(),
            **rest,
        )

    def preflight(self) -> None:
        for choice, part in self._built:
            with self._config.origins.blame(choice.key):
                part.preflight()

    def _build(self, choice: Choice) -> Component:
        with self._config.origins.blame(choice.key):
            part = self._registry.load(choice.kind, choice.name)
            component = part.from_mapping(choice.options, where=choice.key)
        self._built.append((choice, component))
        return component

    def _build_all(self, choices: Iterable[Choice]) -> tuple[Component, ...]:
        return tuple(self._build(choice) for choice in choices)

    def _names(self) -> Mapping[str, Any]:
        names: dict[str, Any] = {choice.kind: choice.name for choice, _ in self._built}
        for section, kind in SEVERAL.items():
            names.pop(kind, None)
            names[section] = tuple(choice.name for choice in getattr(self._config, section))
        return names

    def _versions(self) -> Mapping[str, str]:
        entries = [self._registry.find(choice.kind, choice.name) for choice, _ in self._built]
        return dict(sorted({e.distribution: e.version for e in entries if e.distribution}.items()))


def _encoder(config: RunConfig, model: ModelBuilder, objective: Objective) -> Choice:
    choice = config.encoder or Choice("encoder", "", {}, "encoder")
    if choice.name:
        return choice
    return replace(choice, name=model.default_encoder(objective.task))

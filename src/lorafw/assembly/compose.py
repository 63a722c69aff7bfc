"""Builds the parts a config names and makes sure they fit, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lorafw.assembly.checks import (
    CHECKS,
    DATA_CHECKS,
    evaluations_can_decide,
    optimizer_gets_what_it_looks_at,
)
from lorafw.assembly.config import Choice, RunConfig
from lorafw.assembly.draft import SEVERAL
from lorafw.assembly.registry import Registry
from lorafw.assembly.scenario_checks import (
    scenario_agrees,
    scenario_gets_its_tasks,
    scenario_gets_what_it_requires,
)
from lorafw.assembly.task_checks import tasks_fit
from lorafw.assembly.task_parts import TaskBuilder, TaskParts
from lorafw.contracts.component import Component
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.exporter import Exporter
from lorafw.contracts.injector import LoRAInjector
from lorafw.contracts.listener import Listener
from lorafw.contracts.model import ModelBuilder, ModelBundle
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Scenario
from lorafw.contracts.trainer import Trainer
from lorafw.types import Capability, Example, LabeledExample, Layout

__all__ = ["DataParts", "Parts", "TaskParts", "compose", "compose_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParts:
    """The parts that turn rows into token ids, built and found to fit.

    Attributes:
        dataset: of a run with tasks, the mix of theirs.
        tasks: what is trained one after another; none for a run of one dataset.
        names: what the config calls each part, by kind.
    """

    dataset: DatasetAdapter
    model: ModelBuilder
    encoder: Encoder
    objective: Objective
    names: Mapping[str, Any]
    tasks: tuple[TaskParts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(DataParts):
    """The parts of a run, built and found to fit.

    Attributes:
        names: what the config calls each: a name by kind, a tuple for exporters and listeners.
        plan: the config's plan.
        versions: version of every distribution that brings one of the parts.
    """

    injector: LoRAInjector
    trainer: Trainer
    scenario: Scenario
    exporters: tuple[Exporter, ...]
    listeners: tuple[Listener, ...]
    plan: TrainPlan = field(default_factory=TrainPlan)
    versions: Mapping[str, str] = field(default_factory=dict)

    def layouts(self, bundle: ModelBundle) -> tuple[Layout, ...]:
        """How the rows of this model, so adapted, can be laid out; what the plan means is first."""
        if Capability.SEGMENTS not in bundle.capabilities & self.injector.capabilities:
            return (Layout.PADDED,)
        both = (Layout.SEGMENTS, Layout.PADDED)
        return both[::-1] if self.plan.layout == "padded" else both


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
    with config.origins.blame("tasks"):
        tasks_fit(parts)
    with config.origins.blame("scenario"):
        scenario_gets_what_it_requires(parts, registry)
        scenario_agrees(parts)
    with config.origins.blame("plan"):
        evaluations_can_decide(parts)
        optimizer_gets_what_it_looks_at(parts)
    return parts


def compose_data(config: RunConfig, registry: Registry) -> DataParts:
    """Build the parts that turn rows into token ids; no weights need to be there.

    Raises:
        LorafwError: as `compose` does.
    """
    builder = _Builder(config, registry)
    parts = builder.data_parts()
    builder.preflight("dataset", "encoder")
    for check in DATA_CHECKS:
        check(parts)
    with config.origins.blame("tasks"):
        tasks_fit(parts)
    return parts


class _Builder:
    def __init__(self, config: RunConfig, registry: Registry) -> None:
        self._config, self._registry = config, registry
        self._built: list[tuple[Choice, Component]] = []
        self._tasks = TaskBuilder(config.tasks, registry, config.origins)

    def parts(self) -> Parts:
        config = self._config
        scenario = self._scenario()
        data = self._data()
        rest: dict[str, Any] = {
            kind: self._build(getattr(config, kind)) for kind in ("injector", "trainer")
        } | {section: self._build_all(getattr(config, section)) for section in SEVERAL}
        told: dict[str, Any] = {"names": self._names(), "versions": self._versions()}
        return Parts(plan=config.plan, scenario=scenario, **told, **data, **rest)

    def _scenario(self) -> Scenario:
        """Built first: a data set that is to be cut into tasks cannot be read without them."""
        config = self._config
        scenario = cast("Scenario", self._build(config.scenario))
        with config.origins.blame("scenario"):
            name, has = config.scenario.name, bool(config.tasks)
            scenario_gets_its_tasks(name, scenario, self._registry, tasks=has)
        return scenario

    def data_parts(self) -> DataParts:
        data = self._data()
        return DataParts(names={choice.kind: choice.name for choice, _ in self._built}, **data)

    def preflight(self, *kinds: str) -> None:
        """Let the parts of these kinds, or all, look at what they need."""
        if not kinds or "dataset" in kinds:
            self._tasks.preflight_datasets()
        for choice, part in self._built:
            if not kinds or choice.kind in kinds:
                with self._config.origins.blame(choice.key):
                    part.preflight()

    def _data(self) -> dict[str, Any]:
        config = self._config
        model = cast("ModelBuilder", self._build(config.model))
        dataset = cast("DatasetAdapter", self._build(self._dataset()))
        objective = cast("Objective", self._build(self._objective(dataset)))
        choice = _encoder(config, model, objective)
        encoder = cast("Encoder", self._build(choice))
        return {
            "model": model,
            "objective": objective,
            "dataset": dataset,
            "encoder": encoder,
            "tasks": self._tasks.parts(choice, encoder),
        }

    def _dataset(self) -> Choice:
        """The run's; the mix of tasks says every option, as the config that is saved does."""
        choice = self._config.dataset
        named = zip(self._config.tasks, self._tasks.datasets, strict=True)
        parts = [{"use": t.dataset.name, **built.model_dump(mode="json")} for t, built in named]
        return replace(choice, options={"parts": parts}) if parts else choice

    def _objective(self, dataset: DatasetAdapter) -> Choice:
        """The one that is named, or else the one that suits the rows."""
        choice = self._config.objective or Choice("objective", "", {}, "objective")
        if choice.name:
            return choice
        self._tasks.preflight_datasets()
        with self._config.origins.blame(self._config.dataset.key):
            dataset.preflight()
            labeled = issubclass(self._kind_of(dataset), LabeledExample)
        return replace(choice, name="classification" if labeled else "causal-lm")

    def _kind_of(self, dataset: DatasetAdapter) -> type[Example]:
        """What is trained on; the first task tells it for all, whose encoders are looked at."""
        return (*self._tasks.datasets, dataset)[0].produces

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
        chosen = [*(choice for choice, _ in self._built), *self._tasks.chosen]
        entries = [self._registry.find(choice.kind, choice.name) for choice in chosen]
        return dict(sorted({e.distribution: e.version for e in entries if e.distribution}.items()))


def _encoder(config: RunConfig, model: ModelBuilder, objective: Objective) -> Choice:
    choice = config.encoder or Choice("encoder", "", {}, "encoder")
    if choice.name:
        return choice
    return replace(choice, name=model.default_encoder(objective.task))

"""Can the scenario be run with what the run has? Answered before weights are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from lorafw.errors import CompositionError, LorafwError, PluginError
from lorafw.types import Capability

if TYPE_CHECKING:
    from lorafw.assembly.compose import Parts
    from lorafw.assembly.registry import Registry
    from lorafw.contracts.component import Component
    from lorafw.contracts.injector import LoRAInjector
    from lorafw.contracts.scenario import Scenario
    from lorafw.contracts.trainer import Trainer

Wanted = frozenset[Capability]


def scenario_gets_its_tasks(
    name: str, scenario: Scenario, registry: Registry, *, tasks: bool
) -> None:
    """A scenario for tasks has some, and no other has.

    Args:
        name: what the config calls the scenario.
        scenario: the same, built.
        registry: knows the others.
        tasks: whether the run has tasks.
    """
    if scenario.takes_tasks and not tasks:
        mend = "List them: -o tasks=NAME,NAME, or the section `tasks` of the config."
        raise CompositionError(f"scenario '{name}' is for a run with tasks.", mend=mend)
    if tasks and not scenario.takes_tasks:
        known = _that(registry, "scenario", lambda part: cast("type[Scenario]", part).takes_tasks)
        mend = f"Choose one that takes them: --scenario {' | '.join(known)}"
        if not known:
            mend = "Those that take them come with: pip install lorafw-continual"
        raise CompositionError(
            f"scenario '{name}' takes no tasks, and the run has some.", mend=mend
        )


def scenario_gets_what_it_requires(parts: Parts, registry: Registry) -> None:
    """Trainer and injector offer all that the scenario asks for, and the model allows it."""
    name, required = parts.names["scenario"], parts.scenario.requires
    if barred := required & parts.model.rules_out:
        raise CompositionError(
            f"scenario '{name}' requires {_listed(barred)}, which model '{parts.names['model']}' "
            "does not allow with these options.",
        )
    offered = parts.trainer.capabilities | parts.injector.capabilities
    if lacking := required - offered:
        raise CompositionError(
            f"scenario '{name}' requires {_listed(lacking)}, which neither trainer "
            f"'{parts.names['trainer']}' nor injector '{parts.names['injector']}' offers with "
            "these options.",
            mend="; ".join(_ways_to(lacking, parts, registry)) + ".",
        )


def _ways_to(lacking: Wanted, parts: Parts, registry: Registry) -> Iterator[str]:
    """What would give the capabilities: an option of the trainer, another trainer or injector."""
    found = False
    for option, values in _options_that_give(lacking, parts.trainer).items():
        found = True
        yield f"Set trainer.{option}: {' or '.join(values)}"
    for kind in ("trainer", "injector"):
        if names := _others_with(lacking, kind, parts.names[kind], registry):
            found = True
            yield f"Choose another {kind}: --{kind} {' | '.join(names)}"
    if not found:
        yield "Choose another scenario: no trainer or injector that is installed offers this"


def _options_that_give(lacking: Wanted, trainer: Trainer) -> dict[str, list[str]]:
    """Single options by which the trainer's own variants gain what is lacking."""
    given, found = trainer.model_dump(), defaultdict[str, list[str]](list)
    for variant in trainer.variants():
        for option, value in variant.model_dump().items():
            changed = {**given, option: value}
            if value != given[option] and lacking <= _offered(type(trainer), changed):
                found[option].append(str(value).lower())
    return found


def _offered(kind: type[Trainer], options: dict[str, Any]) -> Wanted:
    try:
        return kind.model_validate(options).capabilities
    except (ValidationError, LorafwError):  # options that do not go together offer nothing
        return frozenset()


def _others_with(lacking: Wanted, kind: str, own: str, registry: Registry) -> list[str]:
    """Names of installed parts that offer it as they are."""

    def offers(part: type[Component]) -> bool:
        made = cast("Trainer | LoRAInjector", part.model_validate({}))
        return lacking <= made.capabilities

    return [name for name in _that(registry, kind, offers) if name != own]


def _that(registry: Registry, kind: str, test: Callable[[type[Component]], bool]) -> list[str]:
    """Names of the installed parts of a kind that pass a test; what is broken does not."""
    found = []
    for name in registry.names(kind):
        try:
            if test(registry.load(kind, name)):
                found.append(name)
        except (PluginError, ValidationError):
            continue
    return found


def _listed(capabilities: Wanted) -> str:
    return ", ".join(sorted(capabilities))

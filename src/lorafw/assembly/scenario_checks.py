"""Can the scenario be run with what the run has? Answered before weights are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from lorafw.contracts.scenario import Company
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


def scenario_agrees(parts: Parts) -> None:
    """The scenario itself has nothing against the others."""
    tasks = [task.name for task in parts.tasks]
    parts.scenario.check(Company(parts.injector, parts.objective, parts.plan, tasks))


def _ways_to(lacking: Wanted, parts: Parts, registry: Registry) -> list[str]:
    """What would give the capabilities: all of them or, if nothing does, each for itself."""
    if ways := list(_ways_to_all_of(lacking, parts, registry)):
        return ways
    each = [list(_ways_to_all_of(frozenset({one}), parts, registry)) for one in sorted(lacking)]
    if all(each):
        return list(dict.fromkeys(chain.from_iterable(each)))
    return ["Choose another scenario: no trainer or injector that is installed offers this"]


def _ways_to_all_of(lacking: Wanted, parts: Parts, registry: Registry) -> Iterator[str]:
    """An option of trainer or injector, or another one of them."""
    for kind, part in (("trainer", parts.trainer), ("injector", parts.injector)):
        for option, values in _options_that_give(lacking, part).items():
            yield f"Set {kind}.{option}: {' or '.join(values)}"
    for kind in ("trainer", "injector"):
        if others := _others_with(lacking, kind, parts.names[kind], registry):
            yield f"Choose another {kind}: --{kind} {' | '.join(others)}"


def _options_that_give(lacking: Wanted, part: Trainer | LoRAInjector) -> dict[str, list[str]]:
    """Single options by which the part's own variants gain what is lacking."""
    given, found = part.model_dump(), defaultdict[str, list[str]](list)
    for variant in part.variants():
        for option, value in variant.model_dump().items():
            changed = {**given, option: value}
            if value != given[option] and lacking <= _offered(type(part), changed):
                found[option].append(str(value).lower())
    return found


def _offered(kind: type[Trainer | LoRAInjector], options: dict[str, Any]) -> Wanted:
    try:
        return kind.model_validate(options).capabilities
    except (ValidationError, LorafwError):  # options that do not go together offer nothing
        return frozenset()


def _others_with(lacking: Wanted, kind: str, own: str, registry: Registry) -> list[str]:
    """Installed parts that offer it, as they are or with an option, as flags name them."""

    def flags(part: type[Component]) -> list[str]:
        made = cast("Trainer | LoRAInjector", part.model_validate({}))
        if lacking <= made.capabilities:
            return [""]
        ways = _options_that_give(lacking, made).items()
        return [f" -o {kind}.{option}={values[0]}" for option, values in ways]

    able = _that(registry, kind, lambda part: bool(flags(part)))
    return [name + flags(registry.load(kind, name))[0] for name in able if name != own]


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

"""A config in the making: a file, then flags, then `-o`, each laid over the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lorafw.assembly.origins import OVERRIDE, Origins
from lorafw.assembly.registry import Registry
from lorafw.assembly.task_items import OTHER_WORDS, TASKS, TaskItems
from lorafw.assembly.yaml_source import Source, parse_value
from lorafw.errors import ConfigError, did_you_mean

SINGLE = ("dataset", "model", "injector", "trainer", "encoder", "objective", "scenario")
"""Kinds of which a run has one; their config section has the name of the kind."""
REQUIRED = SINGLE[:4]
"""Those that have no default."""
SEVERAL = {"exporters": "exporter", "listeners": "listener"}
"""Config sections that hold a list, with the kind of their items."""
VERSIONS = "versions"
"""Section that `run.yaml` has for its readers; accepted and ignored."""
SECTIONS = ("run", *SINGLE, TASKS, "plan", *SEVERAL, VERSIONS)
DEFAULTS: Mapping[str, Any] = {
    "scenario": {"use": "single"},
    "exporters": [{"use": "adapter"}],
    "listeners": [{"use": "console"}],
}
"""What a run takes when nothing is said; objective and encoder follow from rows and model."""


class Draft:
    """Sections as plain values, with where each was written and what the user should be told."""

    def __init__(self, registry: Registry) -> None:
        self.sections: dict[str, Any] = {}
        self.notices: list[str] = []
        self._registry = registry
        self._places: dict[str, str] = {}

    @property
    def origins(self) -> Origins:
        """Where each value was written."""
        return Origins(dict(self._places))

    def add_file(self, source: Source) -> None:
        """Lay down what a file says.

        Raises:
            ConfigError: a section is unknown or has a wrong form.
        """
        for key, line in source.lines.items():
            self._places[key] = f"{source.name}:{line}"
        for section, value in source.values.items():
            self._check_section(str(section), self.origins.locate(str(section)))
            if value is not None and section != VERSIONS:
                self.sections[section] = self._form(section, value)

    def choose(self, kind: str, name: str) -> None:
        """Take another part, keeping the options that it has too.

        Raises:
            PluginError: there is no such part, or it cannot be loaded.
        """
        section = self.sections.setdefault(kind, {})
        former = section.get("use")
        if former not in (None, name) and len(section) > 1:
            self._drop_foreign_options(kind, name, former)
        section["use"] = name
        self._places[f"{kind}.use"] = ""

    def choose_several(self, section: str, names: Sequence[str]) -> None:
        """Replace a list of parts, keeping the options of those that stay."""
        former = {item.get("use"): item for item in self.sections.get(section, ())}
        self.sections[section] = [dict(former.get(name, {"use": name})) for name in names]
        self._forget(section, "")

    def set_option(self, key: str, value: Any) -> None:
        """Set one value by its dotted key, as a flag does."""
        self._assign(key, value, "")

    def override(self, assignments: Sequence[str]) -> None:
        """Apply `key=value` assignments; those that choose a part come first.

        Raises:
            ConfigError: there is no such section, or the key leads through a plain value.
        """
        pairs = [self._split(assignment) for assignment in assignments]
        chosen = [(key, value) for key, value in pairs if self._chooses(key, value)]
        for key, value in chosen:
            self.choose(key.removesuffix(".use"), value)
        for key, value in pairs:
            if (key, value) not in chosen:
                self._assign(key, value, OVERRIDE)

    def _drop_foreign_options(self, kind: str, name: str, former: str) -> None:
        known = self._registry.load(kind, name).model_fields
        section = self.sections[kind]
        dropped = [option for option in section if option not in known and option != "use"]
        for option in dropped:
            del section[option]
        if dropped:
            listed = ", ".join(f"{kind}.{option}" for option in dropped)
            self.notices.append(
                f"{listed}: dropped, meant for {kind} '{former}'; '{name}' has no such option."
            )

    def _split(self, assignment: str) -> tuple[str, Any]:
        key, value = split_assignment(assignment)
        section = key.partition(".")[0]
        self._check_section(section, f"{OVERRIDE} {section}")
        return key, value

    def _chooses(self, key: str, value: Any) -> bool:
        return isinstance(value, str) and key.removesuffix(".use") in SINGLE

    def _assign(self, key: str, value: Any, place: str) -> None:
        section, *path = key.split(".")
        if section == TASKS:
            path = [*path[:1], *(OTHER_WORDS.get(part, part) for part in path[1:2]), *path[2:]]
        if path:
            self._assign_inside(section, path, value)
            self._places[key] = place
            value = self.sections[section]
        else:
            self._forget(section, place)
        self.sections[section] = self._form(section, value)

    def _assign_inside(self, section: str, path: Sequence[str], value: Any) -> None:
        container = self.sections.setdefault(section, _copy(DEFAULTS.get(section, {})))
        key = section
        for part in path[:-1]:
            key = f"{key}.{part}"
            container = self._step(container, part, key)
        container[self._index(container, path[-1], f"{key}.{path[-1]}")] = value

    def _step(self, container: Any, part: str, key: str) -> Any:
        index = self._index(container, part, key)
        if isinstance(container, dict):
            return container.setdefault(index, {})
        return container[index]

    def _index(self, container: Any, part: str, key: str) -> Any:
        if isinstance(container, dict):
            return part
        if not isinstance(container, list):
            raise ConfigError("lies inside a plain value.", where=f"{OVERRIDE} {key}")
        names = [_name(item) for item in container]
        if part in names:
            return names.index(part)
        if part.isdecimal() and int(part) < len(container):
            return int(part)
        listed = ", ".join(str(name) for name in names) or "nothing"
        raise ConfigError(
            f"there is no such item; the list has: {listed}.", where=f"{OVERRIDE} {key}"
        )

    def _form(self, section: str, value: Any) -> Any:
        if section == TASKS:
            return TaskItems(self._part, self._wrong).read(value, self.sections.get(TASKS, ()))
        if section in SEVERAL:
            items = value if isinstance(value, list) else [value]
            return [self._part(f"{section}.{index}", item) for index, item in enumerate(items)]
        if section in SINGLE:
            return self._part(section, value)
        if not isinstance(value, dict):
            raise self._wrong(section, f"should be a mapping of options, not {value!r}.")
        return _copy(value)

    def _part(self, key: str, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {"use": value}
        if not isinstance(value, dict):
            raise self._wrong(key, f"should be a name, or a mapping with `use`, not {value!r}.")
        if not isinstance(value.get("use", ""), str):
            raise self._wrong(f"{key}.use", f"should be a name, not {value['use']!r}.")
        return {str(option): _copy(inner) for option, inner in value.items()}

    def _wrong(self, key: str, fault: str) -> ConfigError:
        return ConfigError(fault, where=self.origins.locate(key))

    def _check_section(self, section: str, where: str) -> None:
        if section not in SECTIONS:
            known = [name for name in SECTIONS if name != VERSIONS]
            mend = did_you_mean(section, known) or f"Sections: {', '.join(known)}."
            raise ConfigError("there is no such section.", where=where, mend=mend)

    def _forget(self, section: str, place: str) -> None:
        for key in [key for key in self._places if key.startswith(f"{section}.")]:
            del self._places[key]
        self._places[section] = place


def split_assignment(assignment: str) -> tuple[str, Any]:
    """Key and value of `KEY=VALUE`, the value read as YAML.

    Raises:
        ConfigError: it has another form, or the value is not YAML.
    """
    key, equals, text = assignment.partition("=")
    if not (key and equals):
        where = f"{OVERRIDE} {assignment}"
        raise ConfigError("is not of the form KEY=VALUE, such as injector.r=16.", where=where)
    return key, parse_value(text, f"{OVERRIDE} {key}")


def _name(item: Any) -> Any:
    """What an item of a list is called: a part by what it uses, a task by its name."""
    return item.get("use", item.get("name")) if isinstance(item, dict) else None


def _copy(value: Any) -> Any:
    """A copy that shares nothing, not even what a YAML alias shares."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value

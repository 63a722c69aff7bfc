"""Finds parts by name from the metadata of installed distributions, importing nothing to list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

from lorafw.assembly.first_party import FIRST_PARTY
from lorafw.assembly.loading import Entry, import_command, import_component
from lorafw.errors import PluginError, did_you_mean

if TYPE_CHECKING:  # for listing, not even pydantic is imported
    from lorafw.contracts.component import Component

__all__ = ["COMMANDS", "KINDS", "Entry", "Kind", "Registry"]

COMMANDS = "lorafw.commands"
"""Entry-point group of verbs that plugins add to the command line."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of part.

    Attributes:
        name: what users call it, such as `trainer`.
        group: entry-point group its parts are declared in.
        contract: import path of the class every part of this kind derives from.
    """

    name: str
    group: str
    contract: str


def _kinds() -> Iterator[Kind]:
    for name, contract in (
        ("dataset", "dataset:DatasetAdapter"),
        ("model", "model:ModelBuilder"),
        ("injector", "injector:LoRAInjector"),
        ("trainer", "trainer:Trainer"),
        ("exporter", "exporter:Exporter"),
        ("encoder", "encoder:Encoder"),
        ("objective", "objective:Objective"),
        ("scenario", "scenario:Scenario"),
        ("listener", "listener:Listener"),
        ("adapter_format", "adapter_format:AdapterFormat"),
        ("metric", "metric:Metric"),
    ):
        yield Kind(name, f"lorafw.{name}s", f"lorafw.contracts.{contract}")


KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _kinds()})
"""Every kind of part, by name."""


class Registry:
    """The parts installed in this environment; read once, on first use."""

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """All parts of one kind, by name, from metadata alone."""
        return self._by_group.get(self._kind(kind).group, ())

    def commands(self) -> tuple[Entry, ...]:
        """The verbs that plugins add to the command line, by name, from metadata alone."""
        return self._by_group.get(COMMANDS, ())

    def names(self, kind: str) -> tuple[str, ...]:
        """The names a user can write for one kind; qualified where two plugins share one."""
        entries = self.entries(kind)
        plain = [entry.name for entry in entries]
        return tuple(e.name if plain.count(e.name) == 1 else e.qualified for e in entries)

    def find(self, kind: str, name: str) -> Entry:
        """The one part a name stands for.

        Args:
            kind: a key of `KINDS`.
            name: `peft`, qualified by its distribution as in `lorafw-peft/peft`, or an import
                path as in `mypkg.mod:MyInjector`.

        Raises:
            PluginError: there is no such part, or more than one.
        """
        if ":" in name:
            return Entry(self._kind(kind).name, name, name)
        return _only(self.entries(kind), name) or self._missing(kind, name)

    def load(self, kind: str, name: str) -> type[Component]:
        """The class of one part; imports the module it is in and no other plugin.

        Raises:
            PluginError: the part is unknown, ambiguous, broken, or made for another lorafw.
        """
        return import_component(self.find(kind, name), self._kind(kind).contract)

    def load_command(self, name: str) -> object:
        """The click command behind one verb of `commands()`.

        Raises:
            PluginError: the verb is unknown, ambiguous, broken, or made for another lorafw.
        """
        entry = _only(self.commands(), name)
        if entry is None:
            raise PluginError(f"no plugin brings a command '{name}'.")
        return import_command(entry)

    def _kind(self, kind: str) -> Kind:
        if kind not in KINDS:
            mend = did_you_mean(kind, KINDS) or f"Kinds: {', '.join(KINDS)}."
            raise PluginError(f"there is no kind of part called '{kind}'.", mend=mend)
        return KINDS[kind]

    def _missing(self, kind: str, name: str) -> Entry:
        if distribution := FIRST_PARTY.get((kind, name)):
            raise PluginError(
                f"{_words(kind)} '{name}' is not installed.",
                mend=f"Run: pip install {distribution}",
            )
        names = self.names(kind)
        mend = did_you_mean(name, names) or f"Installed: {', '.join(names) or 'none'}."
        raise PluginError(f"no {_words(kind)} is called '{name}'.", mend=mend)

    @cached_property
    def _by_group(self) -> Mapping[str, tuple[Entry, ...]]:
        # One scan for all groups. A distribution seen twice on sys.path (an editable install, say)
        # counts once: the first one wins, as it does for imports.
        points = metadata.entry_points()
        groups = {kind.group: kind.name for kind in KINDS.values()} | {COMMANDS: "command"}
        return {
            group: tuple(sorted(_entries(kind, points.select(group=group)), key=_by_name))
            for group, kind in groups.items()
        }


def _entries(kind: str, points: Iterable[metadata.EntryPoint]) -> Iterator[Entry]:
    for point in points:
        if point.dist is not None:
            yield Entry.read(kind, point, point.dist)


def _only(entries: Iterable[Entry], name: str) -> Entry | None:
    found = [entry for entry in entries if entry.answers_to(name)]
    if len(found) > 1:
        choices = ", ".join(entry.qualified for entry in found)
        fault = f"{_words(found[0].kind)} '{name}' is declared {_times(len(found))};"
        raise PluginError(fault, mend=f"write one of: {choices}")
    return found[0] if found else None


def _words(kind: str) -> str:
    """A kind as sentences name it."""
    return kind.replace("_", " ")


def _by_name(entry: Entry) -> tuple[str, str]:
    return entry.name, entry.distribution


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"

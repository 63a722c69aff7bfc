"""Imports one declared part and says in one line what is wrong with it, if anything is."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, cast

import lorafw
from lorafw.errors import PluginError

if TYPE_CHECKING:
    from lorafw.contracts.component import Component


@dataclass(frozen=True)
class Entry:
    """What a distribution's metadata says of one part.

    Attributes:
        kind: a key of `KINDS`, or `command`.
        name: the name users write.
        value: import path, `module:Class`.
        distribution, version, summary: of the distribution; empty for a bare import path.
        requires: what the distribution requires, as in its metadata.
    """

    kind: str
    name: str
    value: str
    distribution: str = ""
    version: str = ""
    summary: str = ""
    requires: tuple[str, ...] = ()

    @classmethod
    def read(cls, kind: str, point: EntryPoint, source: Distribution) -> Entry:
        """The entry of one entry point."""
        return cls(
            kind,
            point.name,
            point.value,
            source.metadata["Name"],
            source.version,
            source.metadata["Summary"] or "",
            tuple(source.requires or ()),
        )

    @property
    def qualified(self) -> str:
        """The name that no other distribution can share."""
        return f"{self.distribution}/{self.name}"

    @property
    def title(self) -> str:
        """How error messages speak of the part."""
        source = f" from {self.distribution} {self.version}" if self.distribution else ""
        return f"{self.kind.replace('_', ' ')} '{self.name}'{source}"

    def answers_to(self, name: str) -> bool:
        """Whether a user's name, plain or qualified, means this part."""
        distribution, slash, plain = name.rpartition("/")
        if plain != self.name:
            return False
        return not slash or _normal(distribution) == _normal(self.distribution)


def import_component(entry: Entry, contract: str) -> type[Component]:
    """Import the class of a part and check that it is what its contract asks for.

    Raises:
        PluginError: it is made for another lorafw, fails to import, or is not such a part.
    """
    base = cast("type[Component]", _attribute(contract))
    found = _import(entry)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise PluginError(f"{entry.title} is not a {base.__name__}.", mend=f"See {contract}.")
    if lacking := sorted(found.__abstractmethods__):
        raise PluginError(
            f"{entry.title} was written for another version of lorafw:",
            mend=f"it lacks {', '.join(lacking)} (this is lorafw {lorafw.__version__}).",
        )
    return found


def import_command(entry: Entry) -> object:
    """Import the click command that a plugin declares as a verb.

    Raises:
        PluginError: it is made for another lorafw, fails to import, or is no command.
    """
    import click

    found = _import(entry)
    if not isinstance(found, click.Command):
        raise PluginError(f"{entry.title} is not a click command.")
    return found


def _import(entry: Entry) -> object:
    _check_version(entry)
    if not entry.distribution:
        look_in_current_folder()
    try:
        return _attribute(entry.value)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise PluginError(f"{entry.title} failed to import: {fault}") from error


def _attribute(path: str) -> object:
    module, _, name = path.partition(":")
    found: object = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def look_in_current_folder() -> None:
    """Let an import path name a module beside the config, never in place of an installed one."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _normal(distribution: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _check_version(entry: Entry) -> None:
    from lorafw.assembly.compatibility import specifier_for

    needs = specifier_for("lorafw", entry.requires)
    if not needs.contains(lorafw.__version__, prereleases=True):
        raise PluginError(
            f"{entry.title} needs lorafw {needs}, this is {lorafw.__version__}.",
            mend=f"Run: pip install --upgrade lorafw {entry.distribution}",
        )

"""Which installed adapter format the files at a path are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lorafw.errors import AdapterError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorafw.assembly.registry import Registry
    from lorafw.contracts.adapter_format import AdapterFormat

KIND = "adapter_format"
OWN = "peft"
"""The format that lorafw itself writes and loads."""


def format_of(registry: Registry, path: Path) -> str:
    """The name of the format that recognises a file or folder.

    Formats that are special cases of others go before those.

    Raises:
        AdapterError: there is nothing, or none or several formats recognise it.
        PluginError: none does, and one could not be asked.
    """
    if not path.exists():
        raise AdapterError("there is no such file or folder.", where=str(path))
    names, broken = _recognising(registry, path)
    if len(names) == 1:
        return names[0]
    if not names and broken:
        raise broken[0]
    fault = "may be any of several formats" if names else "is of no format that is known here"
    known = ", ".join(names or registry.names(KIND))
    raise AdapterError(f"{fault}: {known}.", where=str(path), mend="Say which: --from FORMAT")


def foreign_format(registry: Registry, path: Path) -> str | None:
    """The format of a folder that is not in lorafw's own, if there is one that recognises it."""
    names, _ = _recognising(registry, path)
    return names[0] if names and names[0] != OWN else None


def _recognising(registry: Registry, path: Path) -> tuple[list[str], list[PluginError]]:
    """The formats that may be meant, and why others could not be asked."""
    found: dict[bool, list[str]] = {False: [], True: []}
    broken: list[PluginError] = []
    for name in registry.names(KIND):
        try:
            kind = cast("type[AdapterFormat]", registry.load(KIND, name))
        except PluginError as error:
            broken.append(error)
        else:
            if kind.recognises(path):
                found[kind.general].append(name)
    return found[False] or found[True], broken


def exported_adapter(path: Path) -> Path:
    """The adapter in the folder of a run; any other path itself."""
    inner = path / "adapter"
    return inner if (path / "run.yaml").is_file() and inner.is_dir() else path


def make_format(
    registry: Registry, name: str, options: Mapping[str, Any], *, where: str
) -> AdapterFormat:
    """A format by its name, with options.

    Raises:
        PluginError: there is no such format, or it cannot be loaded.
        ConfigError: an option is wrong.
    """
    kind = registry.load(KIND, name)
    return cast("AdapterFormat", kind.from_mapping(options, where=where))

"""The presets by name: what each is for, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lorafw.errors import UsageError, did_you_mean

PREFIX = "preset:"
"""What stands before a preset's name where a config file could be named."""

_SUFFIX = ".yaml"


def preset_names() -> list[str]:
    """The names of all presets, in alphabetical order."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _files())


def preset_text(name: str) -> str:
    """A preset as YAML, its comments included.

    Raises:
        UsageError: there is no such preset.
    """
    for file in _files():
        if file.name == name + _SUFFIX:
            return file.read_text(encoding="utf-8")
    names = preset_names()
    mend = did_you_mean(name, names) or f"Presets: {', '.join(names)}."
    raise UsageError(f"there is no preset '{name}'.", mend=mend)


def preset_purpose(name: str) -> str:
    """What a preset is for: its first line, a comment."""
    return preset_text(name).partition("\n")[0].removeprefix("#").strip()


def preset_name(path: Path) -> str | None:
    """The preset that `preset:NAME` names, or None when `path` is a file's.

    >>> preset_name(Path("preset:trace")), preset_name(Path("trace.yaml"))
    ('trace', None)
    """
    text = str(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def _files() -> Iterator[Traversable]:
    folder = resources.files("lorafw.presets")
    return (file for file in folder.iterdir() if file.name.endswith(_SUFFIX))

"""An export as it is compared: what wrote it, and how its base and its prompts are made again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.assembly.registry import Registry
from lorafw.inference.loading import part

if TYPE_CHECKING:
    from lorafw.certification.certificate import Certificate
    from lorafw.contracts.component import Component
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.exporter import Exporter
    from lorafw.contracts.model import ModelBuilder


@dataclass(frozen=True, slots=True)
class Subject:
    """An export.

    Attributes:
        folder: where its files are now.
        exporter: what wrote it.
        builder: of the base.
        encoder: renders prompts as the rows of training were rendered.
    """

    folder: Path
    exporter: Exporter
    builder: ModelBuilder
    encoder: Encoder

    def sections(self) -> dict[str, dict[str, Any]]:
        """The parts as sections of a config, from which another process makes them again."""
        return {
            "exporter": section_of("exporter", self.exporter),
            "model": section_of("model", self.builder),
            "encoder": section_of("encoder", self.encoder),
        }


def subject_of(folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> Subject:
    """The inverse of `Subject.sections`.

    Raises:
        PluginError: a part is not installed.
        ConfigError: an option is wrong.
    """
    registry = Registry()
    kinds = ("exporter", "model", "encoder")
    parts: list[Any] = [part(registry, kind, sections[kind]) for kind in kinds]
    return Subject(folder, *parts)


def certified_subject(folder: Path, certificate: Certificate, base: str | None) -> Subject:
    """The export that a certificate speaks of, its base perhaps elsewhere by now."""
    sections = {kind: getattr(certificate, kind) for kind in ("exporter", "model", "encoder")}
    if base is not None:
        sections["model"] = {**sections["model"], "path": base}
    return subject_of(folder, sections)


def section_of(kind: str, component: Component) -> dict[str, Any]:
    """A part as a section of a config: its name, or else its import path, and its options."""
    found = type(component)
    path = f"{found.__module__}:{found.__qualname__}"
    return {"use": _names(kind).get(path, path), **component.model_dump(mode="json")}


@functools.cache
def _names(kind: str) -> Mapping[str, str]:
    """The names of the installed parts of a kind, by their import paths."""
    registry = _registry()
    entries = zip(registry.entries(kind), registry.names(kind), strict=True)
    return {entry.value: name for entry, name in entries}


@functools.cache
def _registry() -> Registry:
    """Read once: its metadata takes longer to read than a small model."""
    return Registry()

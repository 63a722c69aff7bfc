"""Exporters with one fault each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lorafw.builtin.adapter_exporter import AdapterExporter
from lorafw.contracts import ExportRequest

if TYPE_CHECKING:
    from lorafw.types import AdapterState


class Untold(AdapterExporter):
    """Does not name all of its files."""

    breaks: ClassVar[tuple[str, ...]] = ("the files it names are those it wrote",)

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        return super().export(request, folder)[1:]


class Stamped(AdapterExporter):
    """Writes something else every time."""

    breaks: ClassVar[tuple[str, ...]] = (
        "a second export is bit identical",
        "the export is certified and a second certificate is the same",
    )

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        stamp = folder / "stamp.txt"
        stamp.write_text(str(uuid.uuid4()))
        return [*super().export(request, folder), stamp]


class Altering(AdapterExporter):
    """Changes what is exported on the way."""

    breaks: ClassVar[tuple[str, ...]] = ()

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        plain = request.model.state
        request.model.state = lambda: self.altered(plain())  # type: ignore[method-assign]
        files = super().export(request, folder)
        request.model.state = plain  # type: ignore[method-assign]
        return files

    def altered(self, state: AdapterState) -> AdapterState:
        return state


class Unscaled(Altering):
    """Writes a smaller alpha than the adapter was trained with."""

    breaks = (
        "the exported model computes what the live one did",
        "the export is certified and a second certificate is the same",
    )

    def altered(self, state: AdapterState) -> AdapterState:
        return replace(state, spec=replace(state.spec, alpha=state.spec.alpha / 2))


class Whitewashing(Altering):
    """Writes zeros where training left no numbers."""

    breaks = ("a damaged adapter is refused",)

    def altered(self, state: AdapterState) -> AdapterState:
        return replace(state, tensors={n: t.nan_to_num() for n, t in state.tensors.items()})

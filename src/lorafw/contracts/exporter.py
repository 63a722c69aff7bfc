"""Exporter: a trained model as files that were read back before success is reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lorafw.contracts._sizes import numel
from lorafw.contracts.component import Component
from lorafw.contracts.injector import AdaptedModel
from lorafw.contracts.model import ModelBuilder
from lorafw.types import Capability


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported and what must be known to use it later.

    Attributes:
        recipe: how to ask the model: the model, encoder and versions, as JSON values.
    """

    model: AdaptedModel
    builder: ModelBuilder
    recipe: Mapping[str, Any]


class Exporter(Component, ABC):
    """Writes a model in one format.

    `export` writes into `folder`, which is a temporary one: the caller renames it when the
    exporter has returned, so nothing half-written is ever seen under its final name.
    """

    requires: ClassVar[frozenset[Capability]] = frozenset()

    def expected_bytes(self, request: ExportRequest) -> int:
        """About how much `export` will write; asked before training, so that it ends in room.

        Unless an exporter knows better: the trained numbers in fp32.
        """
        return sum(4 * numel(p) for p in request.model.trainable().values())

    @abstractmethod
    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write, read back and compare; return the files written.

        Raises:
            ExportError: what was read back is not what was written.
        """

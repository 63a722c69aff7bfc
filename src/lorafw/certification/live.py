"""The trained model while it is in memory: what it answers, and what exporters make of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lorafw.certification.certify import Written, can_be_opened, certify
from lorafw.certification.witness import Witness, witness_of

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.certification.certificate import Certificate
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.exporter import Exporter, ExportRequest


@dataclass(frozen=True)
class Live:
    """A trained model, whole on this rank.

    Attributes:
        request: what exporters are given.
        encoder: renders prompts as the rows of training were rendered.
    """

    request: ExportRequest
    encoder: Encoder

    @cached_property
    def witness(self) -> Witness:
        """What it answers; asked once for all exports."""
        return witness_of(self.request.model, self.encoder)

    def write(self, exporter: Exporter, folder: Path) -> Written:
        """Let an exporter fill an empty folder."""
        exporter.export(self.request, folder)
        rounds, base = exporter.rounds(self.request), str(self.request.recipe.get("base", ""))
        return Written(exporter, self.request.builder, self.encoder, base, rounds)

    def witness_for(self, exporter: Exporter) -> Witness | None:
        """What it answers, if an exporter's files can be asked the same."""
        return self.witness if can_be_opened(exporter) else None

    def exported(self, exporter: Exporter, folder: Path, final: Path) -> Certificate:
        """Fill an empty folder and certify what is in it, the model staying in memory.

        Raises:
            ExportError: see `certify`.
        """
        written = self.write(exporter, folder)
        return certify(written, self.witness_for(exporter), folder, final)

"""Exporter `model-card`: what was trained, on what and how well, as the hub shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.contracts.exporter import Exporter, ExportRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ModelCard(Exporter):
    """A `README.md` for the Hugging Face hub: metadata, training, evaluation and how to load it.

    In a run it tells of data, steps and held-out figures too, from the files of the run's folder.
    Paths of this machine are not in it.
    """

    what: str = Field("adapter", description="Which export the card is for, by its exporter.")
    license: str | None = Field(None, description="Licence of the model, such as apache-2.0.")
    language: tuple[str, ...] = Field((), description="Languages, by code, such as en.")

    def export(self, request: ExportRequest, folder: Path) -> Sequence[Path]:
        """Write the card and read it back.

        Raises:
            ExportError: a trained number is not finite, or the card differs when read back.
        """
        from lorafw.builtin._card import Card
        from lorafw.builtin._checks import require_finite
        from lorafw.builtin._written import write_text

        require_finite(request.model.state())
        said = {"license": self.license, "language": self.language}
        card = Card.beside(folder.parent, request, what=self.what, **said)
        return [write_text(folder / "README.md", card.text())]

    def expected_bytes(self, request: ExportRequest) -> int:
        """A few kilobytes."""
        del request
        return 10_000

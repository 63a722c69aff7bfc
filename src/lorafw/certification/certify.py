"""One export from the trained model to files with a certificate beside them."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorafw.certification.certificate import Certificate, file_digests, write_certificate
from lorafw.certification.expected import expected_of
from lorafw.certification.opening import opened_and_compared
from lorafw.certification.subject import Subject, section_of
from lorafw.certification.verdict import judge, unaccepted
from lorafw.contracts.exporter import Exporter
from lorafw.errors import ExportError, LorafwError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorafw.certification.witness import Witness
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.model import ModelBuilder

_TOOLS = ("lorafw", "torch", "transformers", "peft", "safetensors", "gguf")


@dataclass(frozen=True, slots=True)
class Written:
    """An export that was written and waits to be compared.

    Attributes:
        exporter: what wrote it.
        builder: of the base.
        encoder: renders prompts as the rows of training were rendered.
        base: content identity of the base; empty if unknown.
        rounds: the exporter says that numbers were rounded.
    """

    exporter: Exporter
    builder: ModelBuilder
    encoder: Encoder
    base: str
    rounds: bool


def can_be_opened(exporter: Exporter) -> bool:
    """Whether an exporter's files hold a model at all that a tool could open."""
    return type(exporter).reopen is not Exporter.reopen


def certify(written: Written, witness: Witness | None, folder: Path, final: Path) -> Certificate:
    """Open an export again, compare it, and write its certificate beside it.

    Args:
        written: how it was made.
        witness: of the trained model; None for an export that no tool opens.
        folder: where it is now.
        final: where it will be, for errors.

    Raises:
        ExportError: it is not the model that was trained, or a loss was not accepted.
    """
    found, verdict = None, "unread"
    if witness is not None and can_be_opened(written.exporter):
        found = _compared(written, witness, folder, final)
    if witness is not None and found is not None:
        accepted = written.exporter.accept_loss
        verdict = judge(
            found, witness.facts, rounds=written.rounds, accept_loss=accepted, where=str(final)
        )
    elif written.rounds and not written.exporter.accept_loss:
        raise unaccepted("rounding changes it, and no tool here tells by how much.", str(final))
    certificate = Certificate(
        verdict=verdict,
        base=written.base,
        comparison=found,
        expected=expected_of(witness) if witness is not None and found is not None else None,
        files=file_digests(folder),
        versions=_versions(),
        **_sections(written, folder),
    )
    write_certificate(folder, certificate)
    return certificate


def _compared(written: Written, witness: Witness, folder: Path, final: Path) -> Any:
    subject = Subject(folder, written.exporter, written.builder, written.encoder)
    try:
        return opened_and_compared(subject, witness)
    except LorafwError as error:
        here = str(error).replace(str(folder), str(final))
        raise ExportError(f"cannot be opened again: {here}", where=str(final)) from error


def _sections(written: Written, folder: Path) -> Mapping[str, Any]:
    if not can_be_opened(written.exporter):
        return {"exporter": section_of("exporter", written.exporter), "model": {}, "encoder": {}}
    return Subject(folder, written.exporter, written.builder, written.encoder).sections()


def _versions() -> dict[str, str]:
    """Of the tools that are installed here."""
    found = {}
    for name in _TOOLS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

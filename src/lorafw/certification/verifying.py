"""An export compared with its certificate again, wherever it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.certification.certificate import Certificate, file_digests, read_certificate
from lorafw.certification.comparison import asked, other_texts
from lorafw.certification.precision import TIE, most_apart
from lorafw.certification.subject import certified_subject
from lorafw.errors import ExportError, LorafwError, UsageError
from lorafw.inference.provenance import tokenizer_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from lorafw.certification.expected import Expected, ExpectedRow
    from lorafw.certification.subject import Subject
    from lorafw.contracts.exporter import Reopened

UNRELATED = frozenset({"README.md", ".gitattributes"})
"""Names of files that may come to lie in an export without changing what it is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How the export answers now.

    Attributes:
        tool: what opened it, with its version.
        largest: largest difference of a logit that the certificate keeps.
        allowed: how large it may be.
        positions: at how many places the likeliest token was compared.
        agreeing: at how many of them it is the one expected, or as likely.
    """

    tool: str
    largest: float
    allowed: float
    positions: int
    agreeing: int


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether an export is what its certificate says.

    Attributes:
        certificate: as it was read.
        faults: what differs, a sentence for each; empty if it holds.
        measured: how the export answers; None if it was not opened.
    """

    certificate: Certificate
    faults: tuple[str, ...]
    measured: Measured | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.faults


def verify_export(folder: Path, *, base: str | None = None) -> Verification:
    """Check the files of an export against its certificate, then open it and ask it again.

    Args:
        folder: an export.
        base: where the base model is now, for exports that do not hold it.

    Raises:
        ExportError: there is no certificate, or it was changed.
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder.", where=str(folder))
    certificate = read_certificate(folder)
    faults = tuple(_changed_files(folder, certificate))
    if faults or certificate.expected is None:  # what was changed is not opened
        return Verification(certificate, faults)
    try:
        return _asked_again(folder, certificate, certificate.expected, base)
    except LorafwError as error:
        return Verification(certificate, (f"it cannot be opened: {error}",))


def _changed_files(folder: Path, certificate: Certificate) -> Iterator[str]:
    found, noted = file_digests(folder), certificate.files
    for name in sorted(noted):
        if name not in found:
            yield f"{name} is missing."
        elif found[name] != noted[name]:
            yield f"{name} was changed."
    for name in sorted(found.keys() - noted.keys() - UNRELATED):
        yield f"{name} was not there when it was certified."


def _asked_again(
    folder: Path, certificate: Certificate, expected: Expected, base: str | None
) -> Verification:
    subject = certified_subject(folder, certificate, base)
    opened = subject.exporter.reopen(folder, subject.builder)
    if opened is None:
        fault = "no tool that opens it is installed here"
        mend = f"It was certified with {certificate.comparison and certificate.comparison.tool}."
        raise ExportError(f"{fault}.", mend=mend)
    measured = _measure(certificate, expected, opened)
    faults = (*_other_answers(measured), *_other_tokens(subject, certificate, expected, opened))
    return Verification(certificate, faults, measured)


def _measure(certificate: Certificate, expected: Expected, opened: Reopened) -> Measured:
    assert certificate.comparison is not None
    certified = certificate.comparison
    allowed = certified.largest + most_apart(expected.facts.precision) * certified.scale
    tie = TIE if certificate.verdict == "exact" else 2 * allowed
    largest, positions, agreeing = 0.0, 0, 0
    for ids, row in zip(expected.probes.rows, expected.rows, strict=True):
        found = asked(opened, ids)
        largest = max(largest, _sampled_difference(found, row))
        positions += len(row.top)
        agreeing += _agreeing(found, row, tie)
    return Measured(opened.tool, largest, allowed, positions, agreeing)


def _sampled_difference(found: Tensor, row: ExpectedRow) -> float:
    """The largest difference of the logits that are kept.

    Raises:
        ExportError: there are fewer logits than the trained model had.
    """
    if len(found) != len(row.top) or found.shape[-1] <= max(row.tokens):
        raise ExportError("it computes logits of another vocabulary.")
    return float((found[-1][list(row.tokens)] - found.new_tensor(row.logits)).abs().max())


def _agreeing(found: Tensor, row: ExpectedRow, tie: float) -> int:
    """At how many places the expected token is the likeliest, or nearly as likely."""
    expected = found.gather(-1, found.new_tensor(row.top).long()[:, None])[:, 0]
    return int((found.max(-1).values - expected <= tie).sum())


def _other_answers(measured: Measured) -> Iterator[str]:
    if measured.largest > measured.allowed:
        yield (
            f"it answers otherwise: a logit is off by {measured.largest:.1e}, "
            f"{measured.allowed:.1e} is allowed. Is the base another one?"
        )
    if measured.agreeing < measured.positions:
        other = measured.positions - measured.agreeing
        yield f"the likeliest token is another one at {other} of {measured.positions} places."


def _other_tokens(
    subject: Subject, certificate: Certificate, expected: Expected, opened: Reopened
) -> Iterator[str]:
    tokenizer, noted = opened.tokenizer, certificate.comparison
    if tokenizer is None:
        tokenizer = subject.builder.tokenizer()
        if noted and noted.base_tokenizer not in {"", tokenizer_hash(tokenizer)}:
            yield "the base has another tokenizer than when it was certified."
            return
    probes = expected.probes
    for text in other_texts(probes.texts, probes.rendered, subject.encoder, tokenizer):
        yield f"{text!r} is rendered to other token ids than in training."

"""`certificate.json`: what was compared, and all that is needed to compare it again anywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lorafw.adapters.files.safe_files import write_bytes
from lorafw.certification.comparison import Comparison
from lorafw.certification.expected import Expected
from lorafw.certification.verdict import Verdict
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATE = "certificate.json"
_PIECE = 1 << 20


class Certificate(BaseModel):
    """What is written beside an export.

    Attributes:
        format: of this file.
        verdict: how the export compares with the trained model.
        exporter: what wrote it: `use` and its options.
        model: the base's builder, as the config section of a run.
        encoder: the same of the encoder.
        base: content identity of the base; empty if unknown.
        comparison: what was measured; None if it was not opened.
        expected: what the trained model answers; None if it was not opened.
        files: SHA-256 of every file of the export but this one, by its path.
        versions: of the tools that were at work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    verdict: Verdict
    exporter: Mapping[str, Any]
    model: Mapping[str, Any]
    encoder: Mapping[str, Any]
    base: str
    comparison: Comparison | None
    expected: Expected | None
    files: Mapping[str, str]
    versions: Mapping[str, str]


def write_certificate(folder: Path, certificate: Certificate) -> Path:
    """Write it beside the files it speaks of."""
    write_bytes(folder / CERTIFICATE, _text(certificate).encode())
    return folder / CERTIFICATE


def read_certificate(folder: Path) -> Certificate:
    """Read it, and see that not a byte of it was changed.

    Raises:
        ExportError: there is none, or it is not as it was written.
    """
    path = folder / CERTIFICATE
    if not path.is_file():
        mend = "Only folders that lorafw exported have one; export it again."
        raise ExportError("there is no certificate.", where=str(path), mend=mend)
    try:
        text = path.read_bytes().decode()
        values = json.loads(text)
        values.pop(_SEAL)
        certificate = Certificate.model_validate(values)
    except OSError as error:
        raise ExportError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise _changed(path) from None
    if text != _text(certificate):
        raise _changed(path)
    return certificate


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder but the certificate, by its path in there."""
    return {
        str(path.relative_to(folder).as_posix()): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / CERTIFICATE
    }


_SEAL = "sha256"
_LONG_LIST = re.compile(r"\[[-\d.e,\s]+\]")
"""A list of numbers, which would stand one to a line."""


def _text(certificate: Certificate) -> str:
    """As it stands in the file: sealed with a digest of its content, which finds every change."""
    content = certificate.model_dump(mode="json")
    plain = json.dumps(content, sort_keys=True, ensure_ascii=False)
    sealed = {**content, _SEAL: hashlib.sha256(plain.encode()).hexdigest()}
    text = json.dumps(sealed, indent=1, sort_keys=True, ensure_ascii=False)
    return _LONG_LIST.sub(lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"


def _changed(path: Path) -> ExportError:
    mend = "Fetch or export the folder again."
    return ExportError("the certificate is not as it was written.", where=str(path), mend=mend)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece

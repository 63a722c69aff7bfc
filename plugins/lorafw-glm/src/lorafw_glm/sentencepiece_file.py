"""What a sentencepiece `tokenizer.model` says, read without the sentencepiece library."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from lorafw.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Value: TypeAlias = int | bytes

# Wire types of protocol buffers.
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_BPE = 2

END = "</s>"
"""The end-of-sequence piece."""


class Kind(IntEnum):
    """`SentencePiece.Type` of sentencepiece_model.proto."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary; the id is its place."""

    text: str
    score: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """The part of a BPE model that tokenising depends on.

    Attributes:
        pieces: in order of their ids.
        byte_fallback: spell characters outside the vocabulary as bytes.
        dummy_prefix: put a space before every text.
    """

    pieces: tuple[Piece, ...]
    byte_fallback: bool
    dummy_prefix: bool

    @property
    def unknown(self) -> str:
        """The piece for what the vocabulary cannot spell."""
        return next(piece.text for piece in self.pieces if piece.kind is Kind.UNKNOWN)


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a `ModelProto` (google/sentencepiece, sentencepiece_model.proto).

    Raises:
        ModelError: the file is damaged or none of sentencepiece, or its model is of a kind that
            would be tokenised otherwise here: not BPE, text that is normalised or stripped,
            symbols of its own.
    """
    try:
        return _parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}.", where=str(path)) from None
    except (ValueError, LookupError, struct.error):
        mend = "Fetch it again."
        raise ModelError(
            "is damaged or no sentencepiece model.", where=str(path), mend=mend
        ) from None


def _parsed(content: bytes, where: str) -> SentencePieceModel:
    pieces, trainer, normalizer = [], {}, {}
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece(_bytes(value)))
        elif number == 2:
            trainer = dict(_fields(_bytes(value)))
        elif number == 3:
            normalizer = dict(_fields(_bytes(value)))
    if not pieces:
        raise ValueError(where)
    _refuse_other_rules(pieces, trainer, normalizer, where)
    return SentencePieceModel(tuple(pieces), bool(trainer.get(35)), bool(normalizer.get(3, True)))


def _refuse_other_rules(
    pieces: list[Piece], trainer: dict[int, Value], normalizer: dict[int, Value], where: str
) -> None:
    own = [piece.text for piece in pieces if piece.kind in {Kind.USER_DEFINED, Kind.UNUSED}]
    faults = {
        "its model is not BPE": trainer.get(3, 1) != _BPE,
        "it normalises text": bool(normalizer.get(2)),
        "it strips spaces": bool(normalizer.get(4, True)),
        "it does not escape spaces": not normalizer.get(5, True),
        "it puts the space behind words": bool(trainer.get(24)),
        f"it has symbols of its own, such as {own[:1]}": bool(own),
        f"it has no {END}": not any(piece.text == END for piece in pieces),
        "it has no piece for what is unknown": not any(p.kind is Kind.UNKNOWN for p in pieces),
    }
    for fault, present in faults.items():
        if present:
            mend = "Give a folder with a tokenizer.json as tokenizer_path."
            raise ModelError(f"is not of ChatGLM's kind: {fault}.", where=where, mend=mend)


def _piece(content: bytes) -> Piece:
    fields = dict(_fields(content))
    (score,) = struct.unpack("<f", _bytes(fields.get(2, bytes(4))))
    return Piece(_bytes(fields[1]).decode(), score, Kind(int(fields.get(3, Kind.NORMAL))))


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError(value)


def _fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of a message, in order."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire)
        if size is None:
            if wire != _LENGTH:
                raise ValueError(wire)
            size, at = _varint(content, at)
        if at + size > len(content):
            raise ValueError(size)
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at

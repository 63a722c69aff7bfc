"""What a template is made of: stretches of text and special tokens, each with its part to play."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from lorafw.data.rendering.tokens import eos_id, mark_id
from lorafw.types import Tokenizer


class Part(StrEnum):
    """What a segment is, which says when truncation may take it."""

    OPENING = "opening"
    """Special tokens in front of every row, such as BOS; taken last."""
    FIXED = "fixed"
    """The template's own text; taken when nothing else of the context is left."""
    TEXT = "text"
    """What the example brings; taken first."""
    ANSWER = "answer"
    """What the model has to write; loses its end, never its beginning."""
    END = "end"
    """What tells that the answer is over; never taken."""


class Border(StrEnum):
    """How a segment's ids depend on what stands before it."""

    GLUED = "glued"
    """Tokenised in one go with the text before it, unless the row is cut; fresh behind a mark."""
    CONTINUES = "continues"
    """Tokenised apart, as text that goes on: no space is put before it."""
    FRESH = "fresh"
    """Tokenised as a text of its own, with the space SentencePiece puts before one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a row before it is tokenised.

    Attributes:
        text: what is written there, unless `ids` say it.
        part: what it is.
        border: how it joins what stands before it.
        ids: special tokens given by their ids.
        trained: the model learns to write it.
    """

    text: str
    part: Part = Part.FIXED
    border: Border = Border.CONTINUES
    ids: tuple[int, ...] = ()
    trained: bool = False


def mark(tokenizer: Tokenizer, text: str, part: Part = Part.FIXED) -> Segment:
    """A special token by its id; its text where the tokenizer does not know it."""
    found = mark_id(tokenizer, text)
    return Segment(text, part, Border.FRESH, () if found is None else (found,))


def end(tokenizer: Tokenizer) -> Segment:
    """The end-of-sequence token; raises ModelError when the tokenizer has none."""
    return Segment("", Part.END, ids=(eos_id(tokenizer),))


def opening(ids: tuple[int, ...]) -> list[Segment]:
    """Special tokens in front of a row; nothing where there are none."""
    return [Segment("", Part.OPENING, ids=ids)] if ids else []


def labelled(segment: Segment, *, trained: bool) -> Segment:
    """The segment as one that is trained, or that is not."""
    return segment if segment.trained == trained else replace(segment, trained=trained)


def alike(segments: Iterable[Segment], part: Part = Part.TEXT) -> list[Segment]:
    """Segments that truncation takes alike, whatever they were; only the opening stays one."""
    return [
        segment if segment.part is Part.OPENING else replace(segment, part=part)
        for segment in segments
    ]

"""Segments as token ids: glued ones in one go, or each apart so that the row can be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorafw.contracts import Encoder
from lorafw.data.rendering.row import Laid, Row, length
from lorafw.data.rendering.segments import Border, Part, Segment
from lorafw.data.rendering.tokens import continuation_ids, text_ids
from lorafw.data.rendering.truncate import truncate
from lorafw.types import Tokenizer


def fit(
    context: Sequence[Segment], answer: Sequence[Segment], tokenizer: Tokenizer, options: Encoder
) -> Row:
    """The row of a context and the answer to it, no longer than the options allow.

    A row that need not be cut has glued text tokenised in one go. One that must be cut has its
    segments tokenised apart, so that the template's own text stays whole.

    Args:
        context: what the model is given; tokens end where it ends.
        answer: what the model has to write.
        tokenizer: the model's.
        options: `max_length` and its like count.
    """
    whole = _laid(_joined(context), _joined(answer), tokenizer)
    if _fits(whole, options):
        return whole
    kept = truncate(_laid(context, answer, tokenizer), options)
    return replace(kept, cut=len(whole) - len(kept))


def _fits(row: Row, options: Encoder) -> bool:
    prompt, response = length(row.context), length(row.answer)
    return (
        prompt + response <= options.max_length
        and prompt <= (options.max_prompt_length or prompt)
        and response <= (options.max_response_length or response)
    )


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """The segments with those that are glued to one another made one."""
    found: list[Segment] = []
    for segment in segments:
        if segment.border is Border.GLUED and found and not found[-1].ids:
            before, text = found[-1], found[-1].text + segment.text
            found[-1] = Segment(text, segment.part, before.border, segment.ids, segment.trained)
        else:
            found.append(segment)
    return found


def _laid(context: Sequence[Segment], answer: Sequence[Segment], tokenizer: Tokenizer) -> Row:
    laid: list[Laid] = []
    begun, behind_mark = False, False
    for segment in (*context, *answer):
        fresh = not begun or (behind_mark and segment.border is Border.GLUED)
        ids = list(segment.ids) or _text_ids(segment, tokenizer, fresh=fresh)
        if segment.part is Part.END and segment.ids:
            _drop_end(laid, ids)
        if segment.part is not Part.OPENING:
            ids = ids if begun else _without_opening(ids, laid)
            begun |= bool(segment.text)
        behind_mark = bool(segment.ids)
        laid.append(Laid(ids, segment.part, segment.trained))
    return Row(laid[: len(context)], laid[len(context) :])


def _text_ids(segment: Segment, tokenizer: Tokenizer, *, fresh: bool) -> list[int]:
    if fresh or segment.border is Border.FRESH:
        return text_ids(tokenizer, segment.text)
    return continuation_ids(tokenizer, segment.text)


def _drop_end(laid: list[Laid], end: list[int]) -> None:
    """Take off an end that the response wrote itself: the row has one of it."""
    if laid and end and laid[-1].ids[-len(end) :] == end:
        laid[-1] = replace(laid[-1], ids=laid[-1].ids[: -len(end)])


def _without_opening(ids: list[int], laid: Sequence[Laid]) -> list[int]:
    """The ids without special tokens that stand in front of the row already."""
    opening = [token for each in laid for token in each.ids]
    return ids[len(opening) :] if opening and ids[: len(opening)] == opening else ids

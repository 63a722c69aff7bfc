"""Over-long rows cut so that the answer and its end are still learned.

The rule: the context is cut first, until what the example brought fills a quarter of `max_length`.
That goes from its left or right side, as `truncate` says; only then the template's own text, where
it fills half of the row itself, and last of all the special tokens that open a row. If that is not
enough, the answer loses its end, but never its first token, nor what tells that it is over. So a
cut row still begins like every row, still shows part of what was asked and the template's text just
before the answer, still trains part of the answer, and still teaches the model to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from lorafw.contracts import Encoder
from lorafw.data.rendering.row import Laid, Row, length
from lorafw.data.rendering.segments import Part

_FILLING = frozenset({Part.TEXT, Part.ANSWER, Part.END})
"""What goes first where it is context: texts, and earlier answers with their ends."""


def truncate(row: Row, options: Encoder) -> Row:
    """The row with no more tokens than an encoder's options allow; `cut` says how many went.

    Args:
        row: with its segments tokenised apart.
        options: `max_length`, `max_prompt_length`, `max_response_length` and `truncate` count.
    """
    context, answer = shares(
        min(length(row.context), options.max_prompt_length or length(row.context)),
        min(length(row.answer), options.max_response_length or length(row.answer)),
        options.max_length,
        fixed=length([laid for laid in row.context if laid.part not in _FILLING]),
    )
    from_left = options.truncate == "left"
    given = _shortened(row.context, context, _FILLING, from_left=from_left)
    for part in (Part.FIXED, Part.OPENING):
        given = _shortened(given, context, {part}, from_left=True)
    said = _shortened(row.answer, answer, set(Part) - {Part.END}, from_left=False)
    kept = Row(given, said)
    return replace(kept, cut=row.cut + len(row) - len(kept))


def shares(context: int, answer: int, max_length: int, *, fixed: int = 0) -> tuple[int, int]:
    """How many tokens of the context and of the answer stay.

    The context keeps what of it is `fixed` and a quarter of the row, up to half of the row.

    >>> shares(100, 20, 64), shares(100, 90, 64), shares(10, 90, 64)
    ((44, 20), (16, 48), (10, 54))
    >>> shares(100, 90, 64, fixed=10), shares(100, 90, 64, fixed=50)
    ((26, 38), (32, 32))
    """
    least = min(max_length // 4 + fixed, max_length // 2)
    kept = min(context, max(max_length - answer, least))
    return kept, min(answer, max_length - kept)


def _shortened(
    laid: Sequence[Laid], limit: int, parts: AbstractSet[Part], *, from_left: bool
) -> list[Laid]:
    """Segments without the first or last tokens of some parts, as many as are over the limit."""
    excess = length(laid) - limit
    kept = list(laid)
    for at in range(len(kept)) if from_left else reversed(range(len(kept))):
        each = kept[at]
        if excess <= 0 or each.part not in parts:
            continue
        drop = min(excess, len(each.ids))
        ids = each.ids[drop:] if from_left else each.ids[: len(each.ids) - drop]
        kept[at] = replace(each, ids=ids)
        excess -= drop
    return kept

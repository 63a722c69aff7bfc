"""Over-long rows cut so that the answer and its end are still learned.

The rule: the context is cut first, from the left, behind the opening (BOS) and down to a quarter
of `max_length`; if that is not enough, the answer loses its end, but never its last token. So a
cut row still begins like every row, still shows what is asked just before the answer, still
trains part of the answer, and still teaches the model to stop.
"""

from __future__ import annotations

from lorafw.data.row import Row


def truncate(row: Row, max_length: int) -> Row:
    """The row with at most `max_length` tokens (at least 8); labels go with their tokens."""
    cut = len(row.ids) - max_length
    if cut <= 0:
        return row
    context, answer = shares(row.answer, len(row.ids) - row.answer, max_length)
    opening = min(row.opening, context)
    first = row.answer - (context - opening)
    last = row.answer + max(answer - 1, 0)

    def kept(values: list[int]) -> list[int]:
        end = values[-1:] if answer else []
        return values[:opening] + values[first : row.answer] + values[row.answer : last] + end

    return Row(kept(row.ids), kept(row.labels), context, opening, cut)


def shares(context: int, answer: int, max_length: int) -> tuple[int, int]:
    """How many tokens of the context and of the answer stay.

    >>> shares(100, 20, 64), shares(100, 90, 64), shares(10, 90, 64)
    ((44, 20), (16, 48), (10, 54))
    """
    kept = min(context, max(max_length - answer, max_length // 4))
    return kept, min(answer, max_length - kept)

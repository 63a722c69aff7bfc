"""Which of an example's own texts each token of its row belongs to, as far as it can be told.

For display only: what is trained is never found by searching.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import singledispatch
from itertools import accumulate

from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PromptExample,
    TextExample,
)

TEMPLATE = "template"
"""The part of a token that the encoder wrote: marks, roles, separators, beginning and end."""
CONTEXT, ANSWER = "context", "answer"
"""The parts of tokens of which no more is known than on which side of the answer they stand."""

CALL = "tool call"
"""The part of tokens that name the tool the assistant calls, or say what it is called with."""

Passage = tuple[str, str]
"""A name and a text."""


@singledispatch
def passages(example: Example) -> list[Passage]:
    """An example's own texts in the order they are written, each with a name."""
    del example
    return []


@passages.register
def _(example: PromptExample) -> list[Passage]:
    return [("prompt", example.prompt), ("input", example.input), ("response", example.response)]


@passages.register
def _(example: ChatExample) -> list[Passage]:
    return [passage for turn in example.messages for passage in _of_turn(turn)]


@passages.register
def _(example: TextExample) -> list[Passage]:
    return [("text", example.text)]


@passages.register
def _(example: LabeledExample) -> list[Passage]:
    return [("text", example.text), ("text_pair", example.text_pair or "")]


def _of_turn(turn: Message) -> Iterator[Passage]:
    yield turn.role, turn.content
    for call in turn.tool_calls:
        yield CALL, call.name
        # Most templates write arguments as JSON; where one does not, sides are all that is told.
        yield CALL, call.arguments


def parts(texts: Sequence[str], example: Example, answer: int) -> list[str]:
    """The part of a row that each of its tokens is.

    Args:
        texts: what each token adds to the row's text.
        example: what the row was made from.
        answer: how many tokens stand before the answer.

    Returns:
        One name per token. Where a passage cannot be found (a cut row, a template that rewrites
        it), no token is called the template's: `context` and `answer` then tell sides only.
    """
    whole = [(name, text) for name, passage in passages(example) if (text := _folded(passage))]
    found = list(_located(texts, whole, answer))
    names = [TEMPLATE] * len(texts)
    if not whole or len(found) < len(whole):
        names = [CONTEXT] * answer + [ANSWER] * (len(texts) - answer)
    for name, first, last in found:
        names[first:last] = [name] * (last - first)
    return names


def _located(
    texts: Sequence[str], wanted: Sequence[Passage], answer: int
) -> Iterator[tuple[str, int, int]]:
    """Name, first token and the token behind the last, of the passages that are in the row."""
    folded = [_folded(text) for text in texts]
    text, starts, at = "".join(folded), [0, *accumulate(map(len, folded))], 0
    for index, (name, passage) in enumerate(wanted):
        begin = None
        if 0 < index == len(wanted) - 1:
            begin = _find(text, passage, max(at, starts[answer]), starts)
        if begin is None:
            begin = _find(text, passage, at, starts)
        if begin is not None:
            at = begin + len(passage)
            yield name, _token_at(texts, starts, begin), bisect_right(starts, at - 1)


def _folded(text: str) -> str:
    """The text without white space and case, which tokenizers change."""
    return "".join(text.lower().split())


def _find(text: str, passage: str, start: int, starts: Sequence[int]) -> int | None:
    """Where a passage begins: where its borders are borders of tokens, if it can."""
    borders = set(starts)

    def fit(place: int) -> int:
        return (place in borders) + (place + len(passage) in borders)

    return max(_places(text, passage, start), key=fit, default=None)


def _places(text: str, passage: str, start: int) -> Iterator[int]:
    found = text.find(passage, start)
    while found >= 0:
        yield found
        found = text.find(passage, found + 1)


def _token_at(texts: Sequence[str], starts: Sequence[int], place: int) -> int:
    """The token a letter is in, those before it that hold parts of the letter included."""
    first = bisect_left(starts, starts[bisect_right(starts, place) - 1])
    while texts[first].isspace():
        first += 1
    return first

"""Rows that say or ask the same, within the training rows and across to the held-out ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lorafw.types import ChatExample, Example, LabeledExample, PromptExample, TextExample

Numbers = tuple[int, ...]
"""Row numbers, counted from one within their split."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows found twice.

    Attributes:
        copies: training rows that are exactly an earlier one.
        asked_again: other training rows that ask what an earlier one asks.
        held_out_copies: held-out rows that are exactly a training row.
        held_out_asked: other held-out rows that ask what a training row asks.
    """

    copies: Numbers
    asked_again: Numbers
    held_out_copies: Numbers
    held_out_asked: Numbers


def duplicates(train: Sequence[Example], held_out: Sequence[Example]) -> Duplicates:
    """What of two splits is there more than once.

    Two rows ask the same when their questions differ in nothing but case and white space.
    """
    rows, questions = set(train), {question(example) for example in train}
    copies, asked_again = _repeated(train)
    copied = tuple(at for at, row in enumerate(held_out, 1) if row in rows)
    asked = tuple(at for at, row in enumerate(held_out, 1) if question(row) in questions)
    return Duplicates(copies, asked_again, copied, _without(asked, copied))


def question(example: Example) -> Hashable:
    """What an example asks, without case and white space; the example if it asks nothing."""
    if isinstance(example, PromptExample):
        return _folded(example.prompt, example.input)
    if isinstance(example, ChatExample):
        spoken = [turn.role for turn in example.messages]
        last = len(spoken) - spoken[::-1].index("assistant") if "assistant" in spoken else 1
        return _folded(*(turn.content for turn in example.messages[: last - 1])) or example
    if isinstance(example, LabeledExample):
        return _folded(example.text, example.text_pair or "")
    return _folded(example.text) if isinstance(example, TextExample) else example


def _folded(*texts: str) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in texts)


def _repeated(rows: Iterable[Example]) -> tuple[Numbers, Numbers]:
    seen: set[Any] = set()
    asked: set[Any] = set()
    copies: list[int] = []
    again: list[int] = []
    for at, row in enumerate(rows, 1):
        asks = question(row)
        if row in seen:
            copies.append(at)
        elif asks in asked:
            again.append(at)
        seen.add(row)
        asked.add(asks)
    return tuple(copies), tuple(again)


def _without(numbers: Numbers, others: Numbers) -> Numbers:
    taken = set(others)
    return tuple(number for number in numbers if number not in taken)

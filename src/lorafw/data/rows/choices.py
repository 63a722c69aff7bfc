"""The fields of multiple-choice questions, as published data sets write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, ClassVar

from lorafw.data.rows.text import checked_text, field, optional_text_field, text_field
from lorafw.errors import DataError
from lorafw.types import ChoiceExample, Example

ANSWER_KEYS = ("answerKey", "gold")
"""What ARC and others call the field of the right answer."""


@dataclass(frozen=True, slots=True)
class ChoiceFields:
    """The fields of a question, of its choices, and of the right one.

    Choices are a list of texts, or ARC's object of `text` and `label`. The right one is told by its
    text, by its label, by a letter from A, or by its number from 0.
    """

    kind: ClassVar[type[Example]] = ChoiceExample

    prompt: str
    choices: str
    response: str
    input: str | None = None

    def read(self, row: Mapping[str, Any]) -> ChoiceExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        texts, labels = _choices(field(row, self.choices), self.choices)
        right = _right(field(row, self.response), texts, labels, self.response)
        extra = optional_text_field(row, self.input)
        return ChoiceExample(text_field(row, self.prompt), texts[right], extra, texts)


def _choices(value: Any, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts to choose from, and what each is labelled with."""
    texts = value.get("text") if isinstance(value, Mapping) else value
    labels = value.get("label") if isinstance(value, Mapping) else None
    if not isinstance(texts, list) or len(texts) < 2:
        mend = "To train on the question and its answer alone: dataset.fields: {prompt: …, "
        fault = f"field '{name}' must be a list of two or more choices."
        raise DataError(fault, mend=f"{mend}response: …}}.")
    read = tuple(checked_text(text, f"{name}[{at}]") for at, text in enumerate(texts))
    if not all(read):
        raise DataError(f"field '{name}' has a choice that is empty.")
    if not isinstance(labels, list) or len(labels) != len(read):
        labels = list(ascii_uppercase[: len(read)])
    return read, tuple(map(str, labels))


def _right(value: Any, texts: Sequence[str], labels: Sequence[str], name: str) -> int:
    """The number of the choice that an answer means."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(texts):
        return value
    for known in (texts, labels, [label.lower() for label in labels]):
        if isinstance(value, str) and value in known:
            return known.index(value)
    found = json.dumps(value, default=str, ensure_ascii=False)[:40]
    raise DataError(
        f"field '{name}' means none of the {len(texts)} choices: {found}.",
        mend=f"Write its number from 0, its letter ({labels[0]} to {labels[-1]}), or its text.",
    )

"""Rows as a model reads them: what each teaches, what it asks, and what about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorafw.errors import LorafwError, UsageError
from lorafw.types import ChatExample, Encoded, Example, PromptExample

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Row:
    """A row that something can be measured of.

    Attributes:
        number: among all rows read, counted from one.
        example: what was read; a conversation up to its last answer.
        encoded: what it teaches, as training has it.
    """

    number: int
    example: Example
    encoded: Encoded


def rows_of(model: LoadedModel, examples: Sequence[Example]) -> list[Row]:
    """The examples that teach something, as the model was trained to read them.

    Raises:
        UsageError: the model is not for such rows.
        LorafwError: a row cannot be rendered; the message counts which.
    """
    kind = type(examples[0])
    if not issubclass(kind, model.row_encoder.accepts):
        known = ", ".join(each.__name__ for each in model.row_encoder.accepts)
        fault = f"rows are {kind.__name__}, and the model reads {known}."
        raise UsageError(fault, mend="Name fields that make such rows: -o dataset.fields={…}.")
    found = (_row(model, number, example) for number, example in enumerate(examples, 1))
    return [row for row in found if row is not None]


def _row(model: LoadedModel, number: int, example: Example) -> Row | None:
    try:
        encoded = model.row_encoder.encode(example, model.bundle.tokenizer)
    except LorafwError as error:
        raise type(error)(error.what, where=f"row {number}", mend=error.mend) from None
    return Row(number, _until_last_answer(example), encoded) if encoded else None


def _until_last_answer(example: Example) -> Example:
    if not isinstance(example, ChatExample):
        return example
    turns = example.messages
    said = [
        at for at, turn in enumerate(turns) if turn.role == "assistant" and turn.train is not False
    ]
    return replace(example, messages=turns[: said[-1] + 1]) if said else example


def prompt_of(model: LoadedModel, row: Row) -> Encoded:
    """What the model is given before it answers a row, cut as the row is."""
    return model.row_encoder.prompt(row.example, model.bundle.tokenizer)


def source_of(example: Example) -> str:
    """What a row asks about: its input where it keeps one apart, else its question."""
    if isinstance(example, PromptExample):
        return example.input or example.prompt
    assert isinstance(example, ChatExample)
    asked = [turn.content for turn in example.messages if turn.role == "user"]
    return asked[-1] if asked else ""

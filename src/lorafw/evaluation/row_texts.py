"""A row, and what a model made of it, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.contracts.metric import Classified, Outcome, Weighed, Written
from lorafw.evaluation.read_rows import Row, prompt_of
from lorafw.types import ChoiceExample, LabeledExample, PromptExample

if TYPE_CHECKING:
    from lorafw.inference.loaded import LoadedModel


def prompt_text(model: LoadedModel, row: Row) -> str:
    """What is asked, as the data set has it; of a conversation, as the model reads it."""
    if isinstance(row.example, PromptExample):
        return row.example.whole_prompt
    if isinstance(row.example, LabeledExample):
        return row.example.text
    ids = prompt_of(model, row).input_ids
    return str(model.bundle.tokenizer.decode(ids, skip_special_tokens=True))


def label_text(model: LoadedModel, row: Row) -> str:
    """The row's own answer; of a labelled row, its class."""
    if isinstance(row.example, LabeledExample):
        return model.bundle.labels[row.example.label]
    return model.row_encoder.response(row.example)


def answer_text(model: LoadedModel, row: Row, outcome: Outcome) -> str | None:
    """What the model wrote, or chose as the likeliest; None where it did neither."""
    match outcome:
        case Written():
            return outcome.answer
        case Classified():
            return model.bundle.labels[_likeliest(outcome.probabilities)]
        case Weighed():
            assert isinstance(row.example, ChoiceExample)
            return row.example.choices[_likeliest(outcome.log_likelihoods)]
    return None


def _likeliest(values: tuple[float, ...]) -> int:
    return values.index(max(values))

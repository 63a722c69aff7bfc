"""One row as the model sees it: every token, what it is part of, and whether it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from lorafw.contracts.encoder import Encoder
from lorafw.data.inspection.passages import parts
from lorafw.data.inspection.token_texts import token_texts
from lorafw.types import (
    IGNORE_INDEX,
    ChatExample,
    Encoded,
    Example,
    PromptExample,
    Task,
    Tokenizer,
)


@dataclass(frozen=True, slots=True)
class SeenToken:
    """One token of a row.

    Attributes:
        text: what it adds to the text; empty where it only begins a character.
        part: `template`, or the passage of the example it belongs to, as `passages.parts` tells.
        trained: predicting it is learned.
    """

    id: int
    text: str
    part: str
    trained: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """One row as the model sees it.

    Attributes:
        tokens: the whole row; of one that is left out of training, its prompt.
        prompt_tokens: how many of them the model is given before it answers.
        cut: how many tokens truncation removed.
        label: the class, for classification.
        left_out: why the row is not trained; empty if it is.
    """

    tokens: tuple[SeenToken, ...]
    prompt_tokens: int
    cut: int
    label: int | None = None
    left_out: str = ""

    @property
    def trained_tokens(self) -> int:
        """How many predictions are learned."""
        return sum(token.trained for token in self.tokens)


def row_view(example: Example, encoder: Encoder, tokenizer: Tokenizer) -> RowView:
    """The row that an example becomes in training.

    Raises:
        LorafwError: the encoder cannot render it.
    """
    prompt, row = encoder.prompt(example, tokenizer), encoder.encode(example, tokenizer)
    answer = len(prompt.input_ids)
    if row is None:
        tokens = _tokens(prompt, example, tokenizer, answer)
        return RowView(tokens, answer, prompt.cut, left_out=why_left_out(example))
    label = row.labels[0] if encoder.task is Task.CLASSIFICATION else None
    answer = min(answer, len(row.input_ids))
    return RowView(_tokens(row, example, tokenizer, answer), answer, row.cut, label)


def why_left_out(example: Example) -> str:
    """Why an encoder finds nothing to train in an example."""
    if isinstance(example, PromptExample):
        return "empty response" if not example.response else "no token of the response is trained"
    if isinstance(example, ChatExample):
        spoken = any(turn.role == "assistant" and not turn.is_empty for turn in example.messages)
        return "no turn is trained" if spoken else "the assistant says nothing"
    return "nothing to train"


def _tokens(
    row: Encoded, example: Example, tokenizer: Tokenizer, answer: int
) -> tuple[SeenToken, ...]:
    texts = token_texts(tokenizer, row.input_ids)
    named = parts(texts, example, answer)
    columns = zip(row.input_ids, texts, named, _trained(row), strict=True)
    return tuple(SeenToken(*column) for column in columns)


def _trained(row: Encoded) -> list[bool]:
    """Which tokens are learned: nothing predicts a row's first one, and a class is no token."""
    if len(row.labels) < len(row.input_ids):
        return [False] * len(row.input_ids)
    return [at > 0 and label != IGNORE_INDEX for at, label in enumerate(row.labels)]

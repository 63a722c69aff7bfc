"""The encoder of prompt and response pairs, for models without a chat template."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from lorafw.contracts import Encoder
from lorafw.data.row import Row
from lorafw.data.tokens import continuation_ids, eos_id, opening_ids, text_ids
from lorafw.data.truncate import truncate
from lorafw.errors import CompositionError
from lorafw.types import IGNORE_INDEX, Encoded, Example, PromptExample, Task, Tokenizer


class Prompt(Encoder):
    """Prompt, separator, response and end-of-sequence token, as plain text.

    Prompt and response are tokenised apart, so the prompt's ids are a prefix of the row's and
    the mask is a position. A row longer than `max_length` is cut as `lorafw.data.truncate` says.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (PromptExample,)
    task: ClassVar[Task] = Task.CAUSAL_LM

    separator: str = Field("\n", description="Text between prompt and response.")
    train_on: Literal["response", "all"] = Field(
        "response", description="Train the response only, or the prompt as well."
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when the response is empty."""
        pair = _pair(example)
        return self._row(pair, tokenizer).encoded() if pair.response else None

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """Everything before the response; the separator belongs to it."""
        return self._row(_pair(example), tokenizer).prompt()

    def _row(self, pair: PromptExample, tokenizer: Tokenizer) -> Row:
        opening = list(opening_ids(tokenizer))
        context = text_ids(tokenizer, pair.prompt + self.separator)
        if context[: len(opening)] != opening:
            context = opening + context
        answer = self._answer(pair.response, tokenizer)
        given = context if self.train_on == "all" else [IGNORE_INDEX] * len(context)
        row = Row(context + answer, given + answer, len(context), len(opening))
        return truncate(row, self.max_length)

    def _answer(self, response: str, tokenizer: Tokenizer) -> list[int]:
        ids, eos = continuation_ids(tokenizer, response), eos_id(tokenizer)
        return ids if ids[-1:] == [eos] else [*ids, eos]


def _pair(example: Example) -> PromptExample:
    if isinstance(example, PromptExample):
        return example
    raise CompositionError(
        f"encoder 'prompt' takes PromptExample, not {type(example).__name__}.",
        mend="Use encoder chat: -o encoder.use=chat.",
    )

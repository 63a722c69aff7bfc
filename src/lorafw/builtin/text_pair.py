"""The encoder of texts, and of pairs of texts, that belong to a class."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from lorafw.contracts import Encoder
from lorafw.data.rendering.tokens import literal_ids, text_ids
from lorafw.errors import CompositionError
from lorafw.types import IGNORE_INDEX, Encoded, Example, LabeledExample, Task, Tokenizer

_PROBE = "a"


class TextPair(Encoder):
    """One or two texts between the tokenizer's own special tokens, and the class of the row.

    Of texts that are too long together the longer gives way first; special tokens always stay.
    What looks like a special token in a text is read as the plain text it is; tokens of
    `model.add_tokens` stay whole.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (LabeledExample,)
    task: ClassVar[Task] = Task.CLASSIFICATION

    separator: str = Field(
        "\n", description="Text between two texts where the tokenizer has no mark of its own."
    )
    truncate: Literal["left", "right"] = Field(
        "right", description="The side on which a text that is too long is cut."
    )

    @model_validator(mode="after")
    def _rows_have_no_answer(self) -> Self:
        if self.max_prompt_length is not None or self.max_response_length is not None:
            raise ValueError("rows of text-pair have no answer; use max_length")
        return self

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row with its class, or None when it has no text."""
        labeled, row = _labeled(example), self.prompt(example, tokenizer)
        empty = not (labeled.text or labeled.text_pair)
        return None if empty else Encoded(row.input_ids, [labeled.label], row.cut)

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """The same tokens without the class."""
        labeled = _labeled(example)
        given = [labeled.text, *([] if labeled.text_pair is None else [labeled.text_pair])]
        frame = self._frame(tokenizer, len(given))
        texts = [literal_ids(tokenizer, text) for text in given]
        kept = shares([len(ids) for ids in texts], self.max_length - sum(map(len, frame)))
        ids = list(frame[0])
        for text, keep, behind in zip(texts, kept, frame[1:], strict=True):
            cut = len(text) - keep
            ids += [*(text[cut:] if self.truncate == "left" else text[:keep]), *behind]
        return Encoded(ids, [IGNORE_INDEX], cut=sum(map(len, texts)) - sum(kept))

    def _frame(self, tokenizer: Tokenizer, texts: int) -> tuple[tuple[int, ...], ...]:
        frame = special_tokens(tokenizer, texts)
        if texts == 1 or frame[1]:
            return frame
        return frame[0], tuple(text_ids(tokenizer, self.separator)), frame[2]


def shares(lengths: list[int], room: int) -> list[int]:
    """How many tokens of one or two texts fit: the longer gives way first, as in `tokenizers`.

    >>> shares([10, 3], 8), shares([10, 9], 9), shares([3, 4], 9)
    ([5, 3], [5, 4], [3, 4])
    """
    if sum(lengths) <= room:
        return lengths
    if len(lengths) == 1:
        return [room]
    shorter = min(*lengths, room // 2)
    return [room - shorter, shorter] if lengths[0] > lengths[1] else [shorter, room - shorter]


@lru_cache(maxsize=16)
def special_tokens(tokenizer: Tokenizer, texts: int) -> tuple[tuple[int, ...], ...]:
    """The special tokens that a tokenizer puts before, between and behind one or two texts."""
    callable_tokenizer: Any = tokenizer
    row = callable_tokenizer(*[_PROBE] * texts, return_special_tokens_mask=True)
    ids, special = row["input_ids"], row["special_tokens_mask"]
    length, at, frame = len(literal_ids(tokenizer, _PROBE)), 0, []
    for _ in range(texts):
        start = at
        while special[at]:
            at += 1
        frame.append(tuple(ids[start:at]))
        at += length
    return (*frame, tuple(ids[at:]))


def _labeled(example: Example) -> LabeledExample:
    if isinstance(example, LabeledExample):
        return example
    raise CompositionError(
        f"encoder 'text-pair' takes LabeledExample, not {type(example).__name__}.",
        mend="Give the rows a label: text and label, or sentence1, sentence2 and label.",
    )

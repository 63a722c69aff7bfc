"""The base of templates that put text around a prompt and leave the response as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from string import Formatter
from typing import ClassVar, Literal

from pydantic import Field

from lorafw.contracts import Encoder
from lorafw.data.rendering.layout import fit
from lorafw.data.rendering.row import Row
from lorafw.data.rendering.segments import Border, Part, Segment, end, opening
from lorafw.data.rendering.tokens import opening_ids
from lorafw.errors import CompositionError
from lorafw.types import Encoded, Example, PromptExample, Task, Tokenizer


class PairTemplate(Encoder, ABC):
    """A prompt with text around it, the response, and the end-of-sequence token.

    Prompt and response are tokenised apart, so the prompt's ids are a prefix of the row's and
    the mask is a position. A row that is too long is cut as `lorafw.data.rendering.truncate` says.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (PromptExample,)
    task: ClassVar[Task] = Task.CAUSAL_LM
    response_border: ClassVar[Border] = Border.CONTINUES

    train_on: Literal["response", "all"] = Field(
        "response", description="Train the response only, or the prompt as well."
    )

    @abstractmethod
    def written(self, pair: PromptExample) -> list[Segment]:
        """The prompt with the template's text around it."""

    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """The special tokens in front of every row: what the tokenizer puts before any text."""
        return opening(opening_ids(tokenizer))

    def closing(self, tokenizer: Tokenizer) -> list[Segment]:
        """The special tokens between prompt and response, which are not trained: none."""
        del tokenizer
        return []

    def end(self, tokenizer: Tokenizer) -> Segment:
        """What tells that the response is over: the end-of-sequence token."""
        return end(tokenizer)

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when the response is empty."""
        pair = _pair(example)
        return self._row(pair, tokenizer).encoded() if self.response(pair) else None

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """Everything before the response, the template's text included."""
        return self._row(_pair(example), tokenizer).prompt()

    def affixes(self, tokenizer: Tokenizer) -> tuple[str, str]:
        """Nothing before the response, its end behind it."""
        return "", tokenizer.decode(self.end(tokenizer).ids)

    def _row(self, pair: PromptExample, tokenizer: Tokenizer) -> Row:
        context = [*self.opening(tokenizer), *self.written(pair), *self.closing(tokenizer)]
        if self.train_on == "all":
            context = [replace(segment, trained=True) for segment in context]
        said = Segment(self.response(pair), Part.ANSWER, self.response_border)
        answer = [replace(segment, trained=True) for segment in (said, self.end(tokenizer))]
        return fit(context, answer, tokenizer, self)


class Framed(PairTemplate, ABC):
    """A pair template that is two texts with places to fill.

    Attributes:
        frame: the text before the response, with `{prompt}` in it.
        frame_with_input: the same for examples with an input, with `{input}` in it too. Without
            it, the input stands behind a blank line in the prompt's place.
    """

    frame: ClassVar[str]
    frame_with_input: ClassVar[str] = ""

    def written(self, pair: PromptExample) -> list[Segment]:
        """The frame with the example's texts in their places."""
        if pair.input and self.frame_with_input:
            return filled(self.frame_with_input, {"prompt": pair.prompt, "input": pair.input})
        return filled(self.frame, {"prompt": pair.whole_prompt})


def filled(frame: str, texts: dict[str, str]) -> list[Segment]:
    """A frame with texts in the places it names in braces, all of it one text to tokenise."""
    return [
        Segment(texts[piece], Part.TEXT, Border.GLUED)
        if is_place
        else Segment(piece, Part.FIXED, Border.GLUED)
        for piece, is_place in _taken_apart(frame)
    ]


@cache
def _taken_apart(frame: str) -> Sequence[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for text, place, _, _ in Formatter().parse(frame):
        found += [(text, False)] if text else []
        found += [(place, True)] if place else []
    return found


def _pair(example: Example) -> PromptExample:
    if isinstance(example, PromptExample):
        return example
    raise CompositionError(
        f"the encoder takes PromptExample, not {type(example).__name__}.",
        mend="For conversations: -o encoder.use=chat.",
    )

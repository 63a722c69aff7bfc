"""Examples of a few words, of every kind of core's, for trying encoders on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorafw.contracts import Encoder
from lorafw.testing.promise import NotPromised
from lorafw.testing.toys import WORDS
from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PromptExample,
    TextExample,
)

KINDS = (PromptExample, ChatExample, TextExample, LabeledExample)


def accepted(encoder: Encoder, lengths: Sequence[tuple[int, int]]) -> list[Example]:
    """Examples of every kind that the encoder accepts.

    Args:
        encoder: says what it accepts.
        lengths: words of prompt and response, or of two texts.

    Raises:
        NotPromised: it accepts none of core's kinds.
    """
    if not set(KINDS) & set(encoder.accepts):
        raise NotPromised("it accepts none of core's examples: override `examples`")
    every = [example for lengths_ in lengths for example in _examples(*lengths_)]
    return [example for example in every if isinstance(example, encoder.accepts)]


def untaught(encoder: Encoder) -> list[Example]:
    """Examples of every kind the encoder accepts in which there is nothing to learn."""
    asked = Message("user", words(3))
    every = (PromptExample(words(3), ""), ChatExample((asked,)), TextExample(""))
    return [example for example in every if isinstance(example, encoder.accepts)]


def words(count: int, start: int = 0) -> str:
    """Some words that the toy tokenizer knows."""
    return " ".join(WORDS[(start + at) % len(WORDS)] for at in range(count))


def _examples(first: int, second: int) -> Iterator[Example]:
    asked, said = words(first), words(second, 7)
    question, answer = Message("user", asked), Message("assistant", said)
    yield PromptExample(asked, said)
    yield PromptExample(asked, said, "a small cat")
    yield ChatExample((question, answer))
    yield ChatExample((Message("system", "a cat"), question, answer, question, answer))
    yield TextExample(f"{asked} {said}")
    yield LabeledExample(f"a {asked}", None, 0)
    yield LabeledExample(asked, said, 1)

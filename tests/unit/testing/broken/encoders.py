"""Encoders with one fault each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from lorafw.builtin.prompt import Prompt
from lorafw.types import Batch, Encoded, Example, Layout, PromptExample, Tokenizer


class LosesEnd(Prompt):
    """Cuts long rows at their end."""

    breaks: ClassVar[tuple[str, ...]] = ("truncation keeps the end and part of the answer",)

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        if row is None or not row.cut:
            return row
        return Encoded(row.input_ids[:-1], row.labels[:-1], row.cut + 1)


class Endless(Prompt):
    """Never trains the end, so the model never stops."""

    breaks: ClassVar[tuple[str, ...]] = (
        "the end of sequence token is trained",
        "truncation keeps the end and part of the answer",
        "what is trained reads as the response between the affixes",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        return row and replace(row, labels=[*row.labels[:-1], -100])


class Shifting(Prompt):
    """Moves the labels, which collating does again."""

    breaks: ClassVar[tuple[str, ...]] = (
        "every label is its own token or ignored",
        "the end of sequence token is trained",
        "truncation keeps the end and part of the answer",
        "what is trained reads as the response between the affixes",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        return row and replace(row, labels=[*row.labels[1:], -100])


class Unprompted(Prompt):
    """Asks the model with one token more than it was trained with."""

    breaks: ClassVar[tuple[str, ...]] = (
        "the prompt is a prefix of the training row",
        "what is trained reads as the response between the affixes",
        "prompt and response obey limits of their own",
    )

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        given = super().prompt(example, tokenizer)
        return Encoded([*given.input_ids, 3], [*given.labels, -100])


class Parroting(Prompt):
    """Labels the prompt."""

    breaks: ClassVar[tuple[str, ...]] = ("nothing in a prompt is trained",)

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        given = super().prompt(example, tokenizer)
        return replace(given, labels=given.input_ids)


class Uncut(Prompt):
    """Takes no notice of max_length."""

    breaks: ClassVar[tuple[str, ...]] = (
        "truncation obeys max length and says what it cut",
        "prompt and response obey limits of their own",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        return Prompt().encode(example, tokenizer)

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        return Prompt().prompt(example, tokenizer)


class Idle(Prompt):
    """Hands on rows in which nothing is trained."""

    breaks: ClassVar[tuple[str, ...]] = (
        "there is something to train",
        "the end of sequence token is trained",
        "truncation keeps the end and part of the answer",
        "what is trained reads as the response between the affixes",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        return row and replace(row, labels=[-100] * len(row.labels))


class Early(Prompt):
    """Trains the last token of the prompt: a mask that is one token off."""

    breaks: ClassVar[tuple[str, ...]] = (
        "what is trained reads as the response between the affixes",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        if row is None:
            return None
        at = row.labels.count(-100) - 1
        labels = [*row.labels[:at], row.input_ids[at], *row.labels[at + 1 :]]
        return replace(row, labels=labels)


class Late(Prompt):
    """Leaves the first token of the answer untrained: a mask that is one token off."""

    breaks: ClassVar[tuple[str, ...]] = (
        "what is trained reads as the response between the affixes",
    )

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        if row is None:
            return None
        at = row.labels.count(-100)
        return replace(row, labels=[*row.labels[:at], -100, *row.labels[at + 1 :]])


class Stuttering(Prompt):
    """Writes BOS before a row that has one."""

    breaks: ClassVar[tuple[str, ...]] = ("bos stands in front at most once",)

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        return _stuttered(super().prompt(example, tokenizer))

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        row = super().encode(example, tokenizer)
        return row and _stuttered(row)


def _stuttered(row: Encoded) -> Encoded:
    if row.cut or len(row.input_ids) > 20:
        return row
    return replace(row, input_ids=[1, *row.input_ids], labels=[-100, *row.labels])


class Hollow(Prompt):
    """Keeps rows whose response is empty: they teach nothing but to stop."""

    breaks: ClassVar[tuple[str, ...]] = ("a row with nothing to train is none",)

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        assert isinstance(example, PromptExample)
        row = super().encode(example, tokenizer)
        return row or super().encode(replace(example, response="a"), tokenizer)


class Running(Prompt):
    """Lets the end of one segment predict the start of the next."""

    breaks: ClassVar[tuple[str, ...]] = ("layouts hold the same tokens and targets",)

    def collate(self, rows: Sequence[Encoded], layout: Layout, pad_id: int) -> Batch:
        batch = super().collate(rows, layout, pad_id)
        labels = batch.inputs["input_ids"].roll(-1)
        return Batch(batch.inputs, labels) if layout is Layout.SEGMENTS else batch

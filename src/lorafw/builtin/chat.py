"""The encoder of conversations, rendered by a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from lorafw.contracts import Encoder
from lorafw.data.conversation import NotAPrefixError, Piece, pieces
from lorafw.data.row import Row
from lorafw.data.template import KEY, RESERVED, Template
from lorafw.data.tokens import continuation_ids, end_marks, eos_id, text_ids
from lorafw.data.truncate import truncate
from lorafw.errors import CompositionError, ConfigError, DataError
from lorafw.types import (
    IGNORE_INDEX,
    ChatExample,
    Encoded,
    Example,
    Message,
    PromptExample,
    Task,
    Tokenizer,
)


class Chat(Encoder):
    """Conversations, rendered by the tokenizer's chat template.

    A turn that is trained is what the template adds behind the generation prompt, end mark
    included; where the template writes no end mark, the end-of-sequence token is added and
    trained. White space behind an end mark is not trained, nor is an assistant's greeting before
    any question; what follows the last trained turn is left out. All special tokens come from the
    template, as they do when chat models are served. A row longer than `max_length` is cut as
    `lorafw.data.truncate` says; its answer is the last trained turn of the assistant.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (ChatExample, PromptExample)
    task: ClassVar[Task] = Task.CAUSAL_LM

    template: str | None = Field(
        None, description="Jinja text, or path of a .jinja file, instead of the tokenizer's own."
    )
    template_options: dict[str, Any] = Field(
        default_factory=dict,
        description="Variables for the template, such as {enable_thinking: false}.",
    )
    train_on: Literal["response", "last", "all"] = Field(
        "response",
        description="Train every turn of the assistant, its last one only, or all there is.",
    )

    @field_validator("template_options")
    @classmethod
    def _not_ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in RESERVED:
            if name in options:
                raise ValueError(f"'{name}' is set by the encoder itself")
        return options

    def preflight(self) -> None:
        """Check that a template file can be read.

        Raises:
            ConfigError: it cannot.
        """
        _ = self._template

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when no turn of it is."""
        messages = _until_last_answer(_messages(example))
        found = self._pieces(messages, tokenizer) if messages else []
        return self._row(found, tokenizer).encoded() if any(map(_teaches, found)) else None

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """Everything before the last trained turn of the assistant, generation prompt included.

        A conversation whose last word is not the assistant's awaits an answer: all of it is given.
        """
        messages = _messages(example)
        found = self._pieces(messages, tokenizer)
        if messages[-1].role != "assistant":
            found.append(Piece("", Message("assistant", "", train=True)))
        return self._row(found, tokenizer).prompt()

    def _pieces(self, messages: Sequence[Message], tokenizer: Tokenizer) -> list[Piece]:
        name, text = self._template
        template = Template(tokenizer, name, text, self.template_options)
        try:
            return pieces(messages, self._turns(messages), template, end_marks(tokenizer))
        except NotAPrefixError as error:
            raise ConfigError(
                f"{name} renders turn {error.turn + 1} of {len(messages)} in a "
                "conversation differently from what it asks the model for, so training and "
                "generation would disagree.",
                where=KEY,
                mend="Set encoder.template_options (thinking on or off), encoder.train_on=last, "
                "or another template.",
            ) from None

    def _turns(self, messages: Sequence[Message]) -> list[int]:
        first = len(messages) - 1 if self.train_on == "last" else 0
        return [
            at
            for at, message in enumerate(messages)
            if message.train is not None or (message.role == "assistant" and at >= first)
        ]

    def _row(self, found: Sequence[Piece], tokenizer: Tokenizer) -> Row:
        """The pieces up to the last trained turn; the answer is the last one of the assistant."""
        turns = [at for at, piece in enumerate(found) if piece.turn]
        taught = [at for at in turns if _teaches(found[at])] or turns
        answer = [at for at in taught if _is_assistants(found[at])][-1:] or taught[-1:]
        ids: list[int] = []
        labels: list[int] = []
        borders: list[int] = []
        for piece in found[: taught[-1] + 1]:
            tokens = self._ids(piece, tokenizer, first=not ids)
            trained = _teaches(piece) or (self.train_on == "all" and not piece.turn)
            borders.append(len(ids))
            ids += tokens
            labels += tokens if trained else [IGNORE_INDEX] * len(tokens)
        opening = _opening(ids, tokenizer)
        return truncate(Row(ids, labels, borders[answer[0]], opening), self.max_length)

    def _ids(self, piece: Piece, tokenizer: Tokenizer, *, first: bool) -> list[int]:
        ids = text_ids(tokenizer, piece.text) if first else continuation_ids(tokenizer, piece.text)
        ends = _is_assistants(piece) and not piece.closed
        return [*ids, eos_id(tokenizer)] if ends else ids

    @cached_property
    def _template(self) -> tuple[str, str | None]:
        """What the template is called in errors, and its text unless it is the tokenizer's."""
        if self.template is None:
            return "the tokenizer's chat template", None
        if not self.template.endswith(".jinja"):
            return "the template of the config", self.template
        try:
            return f"template {self.template}", Path(self.template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self.template}: {error}.", where=KEY) from None


def _messages(example: Example) -> Sequence[Message]:
    if isinstance(example, PromptExample):
        return (Message("user", example.prompt), Message("assistant", example.response))
    if not isinstance(example, ChatExample):
        kind = type(example).__name__
        raise CompositionError(f"encoder 'chat' takes ChatExample or PromptExample, not {kind}.")
    if not example.messages:
        raise DataError("a conversation has no messages.")
    first, *others = example.messages
    if first.role == "assistant" and first.train is None:
        first = replace(first, train=False)
    return (first, *others)


def _until_last_answer(messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation without the turns behind the last one that can be trained."""
    taught = [at for at, turn in enumerate(messages) if turn.train or turn.role == "assistant"]
    return messages[: taught[-1] + 1] if taught else ()


def _teaches(piece: Piece) -> bool:
    """Whether a piece is a turn that is trained."""
    if piece.turn is None:
        return False
    return bool(piece.turn.content) if piece.turn.train is None else piece.turn.train


def _is_assistants(piece: Piece) -> bool:
    return piece.turn is not None and piece.turn.role == "assistant"


def _opening(ids: Sequence[int], tokenizer: Tokenizer) -> int:
    # A mark that comes again, as ChatML's <|im_start|> does, begins a turn and not the row.
    return int(list(ids[:1]) == [tokenizer.bos_token_id] and ids.count(ids[0]) == 1)

"""A chat template taken apart: what stands before and behind what is said, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.builtin.templates.jinja import JinjaConversation
from lorafw.builtin.templates.pair import PairTemplate
from lorafw.data.rendering.template import Template
from lorafw.errors import LorafwError
from lorafw.inference.prompts import encode_prompt, uncut
from lorafw.types import ChatExample, Message, PromptExample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts.encoder import Encoder
    from lorafw.types import Tokenizer

_SYSTEM, _FIRST, _ANSWER, _NEXT = "qsystemq", "qfirstq", "qanswerq", "qnextq"


class NotTurnsError(Exception):
    """A template that does not put fixed texts around what is said; the message says why."""


@dataclass(frozen=True, slots=True)
class Turns:
    """A template that puts fixed texts around what is said; BOS apart.

    Attributes:
        opening: before the first question, unless a system's words stand there.
        asks: before a question.
        asked: behind a question, up to what the model writes.
        answers: before an answer that another question follows; the model writes it by itself.
        answered: behind an answer that another question follows; None if none may follow.
        system: before a system's words, and from behind them up to the question's first word;
            None if there is no place for them.
    """

    opening: str
    asks: str
    asked: str
    answers: str
    answered: str | None
    system: tuple[str, str] | None


class Asking:
    """The prompts of training, as ids and as text.

    Args:
        encoder: that rendered the rows.
        tokenizer: of the model.
    """

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer) -> None:
        self._encoder, self._tokenizer = uncut(encoder), tokenizer
        self._takes_turns = ChatExample in encoder.accepts
        ids = self.ids([Message("user", _FIRST)])
        self.begins = tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """A prompt of these messages as the model was given it."""
        return list(encode_prompt(self._encoder, self._tokenizer, messages).input_ids)

    def turns(self) -> Turns:
        """The template taken apart.

        Raises:
            NotTurnsError: it does not put fixed texts around what is said.
        """
        first, asked = _around(self._text(Message("user", _FIRST)), _FIRST)
        system = self._system(asked)
        if not self._takes_turns:
            return Turns("", first, asked, "", None, system)
        said = [Message("user", _FIRST), Message("assistant", _ANSWER), Message("user", _NEXT)]
        before, between, after, behind = _around(self._text(*said), _FIRST, _ANSWER, _NEXT)
        if (before, behind) != (first, asked) or not between.startswith(asked):
            raise NotTurnsError("it writes a question in another way when others follow")
        asks = _common_end(first, after)
        opening, answered = first[: len(first) - len(asks)], after[: len(after) - len(asks)]
        return Turns(opening, asks, asked, between.removeprefix(asked), answered, system)

    def _system(self, asked: str) -> tuple[str, str] | None:
        if not self._takes_turns:
            return None
        try:
            text = self._text(Message("system", _SYSTEM), Message("user", _FIRST))
            before, between, behind = _around(text, _SYSTEM, _FIRST)
        except (LorafwError, NotTurnsError):
            return None
        return (before, between) if behind == asked else None

    def _text(self, *messages: Message) -> str:
        """The text of a prompt, without the BOS token it begins with."""
        text = self._written(messages)
        mark = self._tokenizer.bos_token_id
        begin = self._tokenizer.decode([mark]) if self.begins and mark is not None else ""
        return text.removeprefix(begin)

    def _written(self, messages: Sequence[Message]) -> str:
        match self._encoder:
            case JinjaConversation():
                name, text = self._encoder.source()
                options = self._encoder.variables()
                return Template(self._tokenizer, name, text, options)(messages, awaiting=True)
            case PairTemplate():
                segments = self._encoder.written(PromptExample(messages[-1].content, ""))
                return "".join(segment.text for segment in segments)
        return self._tokenizer.decode(self.ids(messages))


def _common_end(one: str, other: str) -> str:
    """The longest text that both end with."""
    lengths = range(min(len(one), len(other)), 0, -1)
    return next((one[-size:] for size in lengths if one[-size:] == other[-size:]), "")


def _around(text: str, *said: str) -> list[str]:
    """What stands before, between and behind words that have to be there once each, in order.

    Raises:
        NotTurnsError: they are not.
    """
    pieces = list[str]()
    for words in said:
        before, found, text = text.partition(words)
        if not found or words in text:
            raise NotTurnsError("it does not write every message once, word for word, in order")
        pieces.append(before)
    return [*pieces, text]

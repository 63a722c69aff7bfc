"""The base of templates of conversations in which special tokens are ids, never text."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lorafw.builtin.templates.conversation import Conversation, Stretch
from lorafw.data.rendering.segments import Border, Part, Segment, alike, end, mark
from lorafw.data.rendering.template import no_place_for_calls, no_place_for_tools, read_tools
from lorafw.errors import DataError
from lorafw.types import ChatExample, Message, Tokenizer

_MARK = re.compile(r"(<\|\w+\|>)")


@dataclass(frozen=True, slots=True)
class Form:
    """How a conversation is written.

    Attributes:
        before: text in front of a message by its role, with special tokens such as `<|user|>` and
            `{round}`, the number of the question.
        behind: text behind a message by its role, special tokens apart.
        glued: a message is tokenised in one go with the text in front of it.
    """

    before: Mapping[str, str]
    behind: Mapping[str, str] = field(default_factory=dict)
    glued: bool = True


class MarkedConversation(Conversation, ABC):
    """Conversations in a form that says which special tokens stand where.

    A special token is put there by its id, whatever the tokenizer makes of its text; where the
    tokenizer does not know it, it is written as text. Every answer ends with the end-of-sequence
    token, and is tokenised as a text of its own.
    """

    @abstractmethod
    def form(self, tokenizer: Tokenizer) -> Form:
        """How conversations are written for this tokenizer."""

    @abstractmethod
    def opening(self, tokenizer: Tokenizer) -> list[Segment]:
        """The special tokens in front of a row."""

    def told(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages as they are written: here the template adds its own."""
        return messages

    def stretches(
        self, chat: ChatExample, turns: Sequence[int], tokenizer: Tokenizer
    ) -> list[Stretch]:
        """The conversation, message by message."""
        if read_tools(chat.tools):
            raise no_place_for_tools("the template")
        if any(message.tool_calls for message in chat.messages):
            raise no_place_for_calls("the template")
        writer = _Writer(self.form(tokenizer), tokenizer)
        given, found = self.opening(tokenizer), list[Stretch]()
        for message, asked in _with_added(self.told(chat.messages), chat.messages, turns):
            if message.role != "assistant":
                given = alike(given)  # what is older goes first, marks and all
            given += writer.before(message.role)
            if asked:
                found += [Stretch(given), Stretch(writer.said(message), message)]
                given = []
            else:
                given += writer.said(message)
            given += writer.behind(message.role)
        if chat.messages[-1].role != "assistant":
            given += writer.before("assistant")
        return [*found, Stretch(given)]


def _with_added(
    told: Sequence[Message], messages: Sequence[Message], turns: Sequence[int]
) -> list[tuple[Message, bool]]:
    """What is written, and whether it was asked for; messages may be added in front."""
    added = len(told) - len(messages)
    return [(message, at - added in turns) for at, message in enumerate(told)]


class _Writer:
    """Writes one conversation; counts its questions."""

    def __init__(self, form: Form, tokenizer: Tokenizer) -> None:
        self._form, self._tokenizer, self._round = form, tokenizer, 0

    def before(self, role: str) -> list[Segment]:
        if role not in self._form.before:
            known = ", ".join(self._form.before)
            raise DataError(
                f"the template has no place for the role '{role}'.", mend=f"It has: {known}."
            )
        self._round += role == "user"
        text = self._form.before[role].format(round=self._round)
        return [
            mark(self._tokenizer, piece) if _MARK.fullmatch(piece) else _fixed(piece)
            for piece in _MARK.split(text)
            if piece
        ]

    def said(self, message: Message) -> list[Segment]:
        if message.role == "assistant":
            said = Segment(message.content, Part.ANSWER, Border.FRESH)
            return [said, end(self._tokenizer)]
        border = Border.GLUED if self._form.glued else Border.FRESH
        return [Segment(message.content, Part.TEXT, border)]

    def behind(self, role: str) -> list[Segment]:
        text = self._form.behind.get(role, "")
        return [_fixed(text)] if text else []


def _fixed(text: str) -> Segment:
    return Segment(text, Part.FIXED, Border.GLUED)

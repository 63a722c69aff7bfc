"""The kinds of rows: which fields each reads, and the example it makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lorafw.data.rows.messages import read_messages, read_reply, read_tools, without_common_start
from lorafw.data.rows.text import field, optional_text_field, text_field
from lorafw.errors import DataError
from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PreferenceExample,
    PromptExample,
    TextExample,
)


@dataclass(frozen=True, slots=True)
class NamedLabel(Example):
    """A labelled row whose class is not numbered yet."""

    text: str
    text_pair: str | None
    label: str | int


@dataclass(frozen=True, slots=True)
class PairFields:
    """The fields of a prompt and its response; a null response is an empty one."""

    kind: ClassVar[type[Example]] = PromptExample

    prompt: str
    response: str
    input: str | None = None
    unread: tuple[str, ...] = ()

    def read(self, row: Mapping[str, Any]) -> PromptExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        refuse_unread(row, self.unread, f"prompt: {self.prompt}, response: {self.response}")
        field(row, self.response)
        return PromptExample(
            text_field(row, self.prompt),
            optional_text_field(row, self.response),
            optional_text_field(row, self.input),
        )


@dataclass(frozen=True, slots=True)
class ChatFields:
    """The fields of a conversation, of the system message before it and of its tools."""

    kind: ClassVar[type[Example]] = ChatExample

    messages: str
    system: str | None = None
    tools: str | None = None
    unread: tuple[str, ...] = ()

    def read(self, row: Mapping[str, Any]) -> ChatExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        refuse_unread(row, self.unread, f"messages: {self.messages}")
        messages = read_messages(field(row, self.messages), self.messages)
        return ChatExample(with_system(messages, row, self.system), self._tools(row))

    def _tools(self, row: Mapping[str, Any]) -> str:
        """The tools in a field of their own or, as MiniMind has them, in the system message."""
        found = [row.get(self.tools)] if self.tools else []
        found += [turn.get("tools") for turn in row[self.messages]]
        lists = [tools for value in found if (tools := read_tools(value, "the list of tools"))]
        if len(lists) > 1:
            raise DataError("the row lists its tools more than once.", mend="Keep one list.")
        return "".join(lists)


@dataclass(frozen=True, slots=True)
class TextFields:
    """The field of a plain text."""

    kind: ClassVar[type[Example]] = TextExample

    text: str

    def read(self, row: Mapping[str, Any]) -> TextExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        return TextExample(text_field(row, self.text))


@dataclass(frozen=True, slots=True)
class LabelFields:
    """The fields of a text, or of two, and of the class it belongs to."""

    kind: ClassVar[type[Example]] = LabeledExample

    text: str
    label: str
    text_pair: str | None = None

    def read(self, row: Mapping[str, Any]) -> NamedLabel:
        """The row with its class as it stands there; raises DataError naming a wrong field."""
        label = field(row, self.label)
        if isinstance(label, bool):
            label = str(label).lower()
        if not isinstance(label, str | int) or label == "":
            found = json.dumps(label, default=str)[:40]
            raise DataError(f"field '{self.label}' must name or number a class, not {found}.")
        pair = text_field(row, self.text_pair) if self.text_pair else None
        return NamedLabel(text_field(row, self.text), pair, label)


@dataclass(frozen=True, slots=True)
class PreferenceFields:
    """The fields of two answers, one preferred, and of the question or conversation before them.

    Without a field for the conversation, it is what the two answers begin with alike.
    """

    kind: ClassVar[type[Example]] = PreferenceExample

    chosen: str
    rejected: str
    prompt: str | None = None
    input: str | None = None
    system: str | None = None

    def read(self, row: Mapping[str, Any]) -> PreferenceExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        answers = [read_reply(field(row, name), name) for name in (self.chosen, self.rejected)]
        if self.prompt is None:
            context, answers = without_common_start(answers)
        else:
            context = self._context(row, self.prompt)
            answers = [_behind(context, answer) for answer in answers]
        if not (context and all(answers)):
            raise DataError(
                f"'{self.chosen}' and '{self.rejected}' need a conversation before them and an "
                "answer each.",
                mend="Say which to read: dataset.fields: {prompt: …, chosen: …, rejected: …}.",
            )
        return PreferenceExample(with_system(context, row, self.system), *answers)

    def _context(self, row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
        if not isinstance(field(row, name), str):
            return read_messages(row[name], name)
        extra = optional_text_field(row, self.input)
        pair = PromptExample(text_field(row, name), "", extra)
        return (Message("user", pair.whole_prompt),)


Fields = PairFields | ChatFields | TextFields | LabelFields | PreferenceFields


def with_system(
    messages: tuple[Message, ...], row: Mapping[str, Any], name: str | None
) -> tuple[Message, ...]:
    """The messages with the row's system field before them, where it says something.

    Raises:
        DataError: the messages begin with a system message of their own.
    """
    system = optional_text_field(row, name)
    if not system:
        return messages
    if messages[0].role == "system":
        raise DataError(
            f"field '{name}' and the first message are both a system message.",
            mend="Keep one of them.",
        )
    return (Message("system", system), *messages)


def refuse_unread(row: Mapping[str, Any], names: tuple[str, ...], example: str) -> None:
    """Raise DataError when a field that would be left out unnoticed says something."""
    for name in names:
        if row.get(name) not in (None, "", [], {}):
            raise DataError(
                f"the row has '{name}', which would be left out.",
                mend=f"To leave it out knowingly: dataset.fields: {{{example}}}.",
            )


def _behind(context: tuple[Message, ...], answer: tuple[Message, ...]) -> tuple[Message, ...]:
    # Some sets repeat the whole conversation before either answer.
    repeated = len(answer) > len(context) and answer[: len(context)] == context
    return answer[len(context) :] if repeated else answer

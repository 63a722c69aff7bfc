"""Which kind of example a row is, told from the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lorafw.data.messages import read_messages
from lorafw.data.text import checked_text
from lorafw.errors import DataError, did_you_mean
from lorafw.types import ChatExample, Example, Message, PromptExample

CHAT_NAMES = ("messages", "conversations")
PROMPT_NAMES = ("prompt", "question", "query", "instruction", "context", "input")
INPUT_NAMES = ("input", "context")
"""What may stand beside `instruction` (Alpaca, Dolly) and is joined to it by a blank line."""
RESPONSE_NAMES = ("response", "answer", "output", "completion", "target")
UNREAD_NAMES = ("tools", "functions")
"""Fields that change what a conversation means and that no example kind carries yet."""


@dataclass(frozen=True, slots=True)
class PairFields:
    """The fields of a prompt and its response."""

    kind: ClassVar[type[Example]] = PromptExample

    prompt: str
    response: str
    input: str | None = None

    def read(self, row: Mapping[str, Any]) -> PromptExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        prompt = text_field(row, self.prompt)
        if extra := optional_text_field(row, self.input):
            prompt = f"{prompt}\n\n{extra}"
        return PromptExample(prompt, text_field(row, self.response))


@dataclass(frozen=True, slots=True)
class ChatFields:
    """The fields of a conversation and, optionally, of the system message before it."""

    kind: ClassVar[type[Example]] = ChatExample

    messages: str
    system: str | None = None

    def read(self, row: Mapping[str, Any]) -> ChatExample:
        """The example a row holds; raises DataError naming a missing or wrong field."""
        messages = read_messages(field(row, self.messages), self.messages)
        system = optional_text_field(row, self.system)
        if not system:
            return ChatExample(messages)
        if messages[0].role == "system":
            raise DataError(
                f"field '{self.system}' and the first of '{self.messages}' are both "
                "a system message.",
                mend="Keep one of them.",
            )
        return ChatExample((Message("system", system), *messages))


Fields = PairFields | ChatFields


def named_fields(names: Mapping[str, str]) -> Fields:
    """The fields a user named, such as {prompt: question, response: solution}.

    Raises:
        ValueError: a part is unknown or missing.
    """
    wanted = {"messages", "system"} if "messages" in names else {"prompt", "response", "input"}
    for part in names:
        if part not in wanted:
            hint = did_you_mean(part, wanted) or f"Known: {', '.join(sorted(wanted))}."
            raise ValueError(f"there is no part '{part}'. {hint}")
    if "messages" in names:
        return ChatFields(**names)
    if missing := sorted({"prompt", "response"} - names.keys()):
        raise ValueError(f"the part '{missing[0]}' is missing.")
    return PairFields(**names)


def detect_fields(row: Mapping[str, Any]) -> Fields:
    """The fields of a row that is named in one of the usual ways.

    Raises:
        DataError: no way of naming matches, or more than one does.
    """
    chats = [name for name in CHAT_NAMES if name in row]
    prompts, extra = _prompt_names(row)
    responses = [name for name in RESPONSE_NAMES if name in row]
    if bool(chats) == bool(prompts and responses):
        raise _unclear(row, "is neither or both of a conversation and a prompt with a response")
    for part, names in (("messages", chats), ("prompt", prompts), ("response", responses)):
        if len(names) > 1 and (part == "messages") == bool(chats):
            raise _unclear(row, f"has more than one field for the {part} ({', '.join(names)})")
    if not chats:
        return PairFields(prompts[0], responses[0], extra)
    for name in UNREAD_NAMES:
        if row.get(name):
            raise _unclear(row, f"has '{name}', which would be left out", f"messages: {chats[0]}")
    return ChatFields(chats[0], "system" if "system" in row else None)


def _prompt_names(row: Mapping[str, Any]) -> tuple[list[str], str | None]:
    prompts = [name for name in PROMPT_NAMES if name in row]
    extra = next((name for name in INPUT_NAMES if name in row), None)
    if "instruction" in prompts and extra:
        prompts.remove(extra)
        return prompts, extra
    return prompts, None


def _unclear(
    row: Mapping[str, Any], fault: str, example: str = "prompt: …, response: …"
) -> DataError:
    return DataError(
        f"the row {fault}; its fields are {_listed(row)}.",
        mend=f"Say which to read: dataset.fields: {{{example}}}.",
    )


def _listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def field(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field; raises DataError when the row has no such field."""
    if name not in row:
        raise DataError(
            f"the row has no field '{name}'; its fields are {_listed(row)}.",
            mend=did_you_mean(name, row),
        )
    return row[name]


def text_field(row: Mapping[str, Any], name: str) -> str:
    """The text in a field; raises DataError when it is missing or not text."""
    return checked_text(field(row, name), f"field '{name}'")


def optional_text_field(row: Mapping[str, Any], name: str | None) -> str:
    """The text in a field; empty when the field is absent or null."""
    if name is None or row.get(name) is None:
        return ""
    return text_field(row, name)

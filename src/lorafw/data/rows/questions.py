"""What a row asks, whatever it says of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.data.rows.fields import (
    CHAT_NAMES,
    PROMPT_NAMES,
    RESPONSE_NAMES,
    TEXT_NAMES,
    TEXT_PAIR_NAMES,
    TOOLS_NAMES,
    detect_fields,
)
from lorafw.data.rows.messages import read_messages
from lorafw.data.rows.row_kinds import ChatFields, PairFields
from lorafw.data.rows.row_reader import placed
from lorafw.data.rows.sources.formats import SCANS, scan_files
from lorafw.data.rows.sources.scanned import Record
from lorafw.data.rows.sources.text_lines import scan_text_lines
from lorafw.data.rows.text import field, listed, optional_text_field, text_field
from lorafw.errors import DataError, UsageError, did_you_mean
from lorafw.types import ChatExample, Example, LabeledExample, PromptExample, TextExample

_MEND = "Say which field to ask with: --prompt-field NAME."
_STAND_IN = RESPONSE_NAMES[0]
_PAIRS = (*TEXT_PAIR_NAMES, ("text", "text_pair"))


@dataclass(frozen=True, slots=True)
class Question:
    """A row that can be asked.

    Attributes:
        where: file and line.
        row: all that stands there.
        example: what is asked; its response is empty, its label means nothing.
        expected: the answer, or the class, that the row itself has; empty if it has none.
    """

    where: str
    row: Mapping[str, Any]
    example: Example
    expected: str = ""

    @property
    def text(self) -> str:
        """What is asked, as plain text: of a conversation, the last turn."""
        match self.example:
            case PromptExample():
                return self.example.whole_prompt
            case ChatExample():
                return self.example.messages[-1].content
            case TextExample() | LabeledExample():
                return self.example.text
        raise AssertionError(self.example)


@dataclass(frozen=True, slots=True)
class QuestionFields:
    """Which fields to read; what is not named is told from the names of a row's fields.

    Attributes:
        prompt: the field to ask with.
        answer: the field with the right answer.
        classes: rows are texts to be put into classes.
    """

    prompt: str | None = None
    answer: str | None = None
    classes: bool = False

    def read(self, record: Record) -> Question | DataError:
        """The question that a row is, or why it is none."""
        row = record.row
        try:
            example = self._labelled(row) if self.classes else self._spoken(row)
            _refuse_nothing(example)
            asked, said = _without_answer(example)
            return Question(record.where, row, asked, said or self._expected(row))
        except DataError as error:
            return placed(error, record.where)

    def _spoken(self, row: Mapping[str, Any]) -> Example:
        if self.prompt is not None:
            return _named(row, self.prompt)
        chats = [name for name in CHAT_NAMES if name in row]
        prompts = [name for name in PROMPT_NAMES if name in row]
        if chats and prompts:
            raise DataError(f"the row has both {listed([chats[0], prompts[0]])}.", mend=_MEND)
        if chats:
            return _chat(row)
        return _pair(row, prompts) if prompts else TextExample(_text(row))

    def _labelled(self, row: Mapping[str, Any]) -> LabeledExample:
        if self.prompt is not None:
            return LabeledExample(text_field(row, self.prompt), None, 0)
        for first, second in _PAIRS:
            if first in row and second in row:
                return LabeledExample(text_field(row, first), text_field(row, second), 0)
        prompts = [name for name in PROMPT_NAMES if name in row]
        if prompts and not any(name in row for name in TEXT_NAMES):
            return LabeledExample(_pair(row, prompts).whole_prompt, None, 0)
        return LabeledExample(_text(row), None, 0)

    def _expected(self, row: Mapping[str, Any]) -> str:
        """The answer that stands in the row; the first of the usual names that is there."""
        if self.answer is not None:
            value = field(row, self.answer)
        else:
            names = ("label",) if self.classes else RESPONSE_NAMES
            value = next((row[name] for name in names if name in row), None)
        return "" if value is None else str(value)


SCANS_OF_QUESTIONS = {**SCANS, ".txt": scan_text_lines}
"""The formats that data sets are read from, and `.txt`: a prompt on each line."""


def check_source(path: Path) -> None:
    """Check that a file of questions is there, and of a known format.

    Raises:
        UsageError: it is not.
    """
    if not path.is_file():
        fault = "is a folder, not a file." if path.is_dir() else "there is no such file."
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        hint = did_you_mean(path.name, [each.name for each in siblings])
        raise UsageError(fault, where=str(path), mend="" if path.is_dir() else hint)
    if path.suffix.lower() not in SCANS_OF_QUESTIONS:
        mend = f"Known: {', '.join(SCANS_OF_QUESTIONS)}."
        raise UsageError("its name tells no known format.", where=str(path), mend=mend)


def scan_questions(path: Path, fields: QuestionFields) -> Iterator[Question | DataError]:
    """The questions of a file, each fault in its place.

    Args:
        path: of a known format.
        fields: which to read.

    Raises:
        DataError: the file as a whole cannot be read, or holds no rows.
    """
    for found in scan_files([path], SCANS_OF_QUESTIONS[path.suffix.lower()]):
        if isinstance(found, DataError) and found.where == str(path):
            raise found
        yield found if isinstance(found, DataError) else fields.read(found)


def _named(row: Mapping[str, Any], name: str) -> Example:
    if isinstance(field(row, name), list):
        return ChatExample(read_messages(row[name], name))
    return PromptExample(text_field(row, name), "")


def _chat(row: Mapping[str, Any]) -> ChatExample:
    told = (*CHAT_NAMES, *TOOLS_NAMES, "system")
    fields = _detected({name: row[name] for name in told if name in row})
    assert isinstance(fields, ChatFields)
    return fields.read(row)


def _pair(row: Mapping[str, Any], prompts: Sequence[str]) -> PromptExample:
    """As a row of training would be read whose answer is beside it."""
    fields = _detected({**dict.fromkeys(prompts), _STAND_IN: ""})
    assert isinstance(fields, PairFields)
    extra = optional_text_field(row, fields.input)
    return PromptExample(text_field(row, fields.prompt), "", extra)


def _detected(row: Mapping[str, Any]) -> object:
    try:
        return detect_fields(row)
    except DataError as error:
        raise DataError(error.what, mend=_MEND) from None


def _text(row: Mapping[str, Any]) -> str:
    names = [name for name in TEXT_NAMES if name in row]
    if len(names) == 1:
        return text_field(row, names[0])
    fault = "asks nothing" if not names else "has more than one text"
    raise DataError(f"the row {fault}; its fields are {listed(row)}.", mend=_MEND)


def _without_answer(example: Example) -> tuple[Example, str]:
    """A conversation without what the assistant says at its end, and that."""
    if not isinstance(example, ChatExample) or example.messages[-1].role != "assistant":
        return example, ""
    *asked, said = example.messages
    if not asked:
        raise DataError("the conversation asks nothing.")
    return ChatExample(tuple(asked), example.tools), said.content


def _refuse_nothing(example: Example) -> None:
    match example:
        case PromptExample() if not example.whole_prompt:
            raise DataError("the prompt is empty.")
        case TextExample() | LabeledExample() if not example.text:
            raise DataError("the text is empty.")

"""The base of templates of conversations: what is trained, and where the answer begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import Field

from lorafw.contracts import Encoder
from lorafw.data.rendering.layout import fit
from lorafw.data.rendering.row import Row
from lorafw.data.rendering.segments import Part, Segment, alike, labelled
from lorafw.errors import CompositionError, DataError
from lorafw.types import ChatExample, Encoded, Example, Message, PromptExample, Task, Tokenizer

_SAID = "7319"
"""A response to find in a row, unlikely to be part of a template."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Segments of a conversation; `turn` is the message they are, if it was asked for."""

    segments: Sequence[Segment]
    turn: Message | None = None

    @property
    def taught(self) -> bool:
        """Whether it is a turn that is trained."""
        if self.turn is None:
            return False
        return not self.turn.is_empty if self.turn.train is None else self.turn.train

    @property
    def is_assistants(self) -> bool:
        """Whether it is a turn of the assistant's."""
        return self.turn is not None and self.turn.role == "assistant"


class Conversation(Encoder, ABC):
    """Conversations of any number of turns; a prompt and its response is one of two.

    Not trained is an assistant's greeting before any question; what follows the last trained turn
    is left out. The answer of a row, which truncation spares, is the last trained turn of the
    assistant.
    """

    accepts: ClassVar[tuple[type[Example], ...]] = (ChatExample, PromptExample)
    task: ClassVar[Task] = Task.CAUSAL_LM

    train_on: Literal["response", "last", "all"] = Field(
        "response",
        description="Train every turn of the assistant, its last one only, or all there is.",
    )

    @abstractmethod
    def stretches(
        self, chat: ChatExample, turns: Sequence[int], tokenizer: Tokenizer
    ) -> list[Stretch]:
        """The conversation as it is written, taken apart into some turns and what is between.

        A conversation whose last word is not the assistant's ends with what calls for an answer.

        Args:
            chat: at least one message.
            turns: indices, ascending, of the messages that become stretches of their own.
            tokenizer: the model's.
        """

    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        """The row as it is trained, or None when no turn of it is."""
        chat = _until_last_answer(_chat(example))
        found = self._stretches(chat, tokenizer) if chat.messages else []
        taught = any(stretch.taught for stretch in found)
        return self._row(found, tokenizer).encoded() if taught else None

    def prompt(self, example: Example, tokenizer: Tokenizer) -> Encoded:
        """Everything before the last trained turn of the assistant, what calls for it included.

        A conversation whose last word is not the assistant's awaits an answer: all of it is given.
        """
        chat = _chat(example)
        found = self._stretches(chat, tokenizer)
        if chat.messages[-1].role != "assistant":
            found.append(Stretch((Segment("", Part.ANSWER),), Message("assistant", "", train=True)))
        return self._row(found, tokenizer).prompt()

    def affixes(self, tokenizer: Tokenizer) -> tuple[str, str]:
        """What the template writes around an answer, end mark included."""
        chat = ChatExample((Message("user", "Number?"), Message("assistant", _SAID)))
        answer = next(each for each in self.stretches(chat, [1], tokenizer) if each.turn)
        written = "".join(each.text or tokenizer.decode(each.ids) for each in answer.segments)
        before, _, behind = written.partition(_SAID)
        return before, behind

    def _stretches(self, chat: ChatExample, tokenizer: Tokenizer) -> list[Stretch]:
        first = len(chat.messages) - 1 if self.train_on == "last" else 0
        turns = [
            at
            for at, message in enumerate(chat.messages)
            if message.train is not None or (message.role == "assistant" and at >= first)
        ]
        return self.stretches(chat, turns, tokenizer)

    def _row(self, found: Sequence[Stretch], tokenizer: Tokenizer) -> Row:
        """The stretches up to the last trained turn; the answer is the last of the assistant's."""
        turns = [at for at, stretch in enumerate(found) if stretch.turn]
        taught = [at for at in turns if found[at].taught] or turns
        answer = next((at for at in reversed(taught) if found[at].is_assistants), taught[-1])
        last = taught[-1]
        older = alike(self._labelled(found[: answer - 1]))
        earlier = alike(self._labelled(found[answer:last]), Part.ANSWER)
        context = [*older, *self._labelled(found[answer - 1 : answer])]
        return fit(context, [*earlier, *self._labelled(found[last : last + 1])], tokenizer, self)

    def _labelled(self, found: Iterable[Stretch]) -> Iterator[Segment]:
        for stretch in found:
            trained = stretch.taught or (self.train_on == "all" and not stretch.turn)
            yield from (labelled(segment, trained=trained) for segment in stretch.segments)


def _chat(example: Example) -> ChatExample:
    if isinstance(example, PromptExample):
        asked, said = Message("user", example.whole_prompt), Message("assistant", example.response)
        return ChatExample((asked, said))
    if not isinstance(example, ChatExample):
        kind = type(example).__name__
        raise CompositionError(f"the encoder takes ChatExample or PromptExample, not {kind}.")
    if not example.messages:
        raise DataError("a conversation has no messages.")
    first, *others = example.messages
    if first.role == "assistant" and first.train is None:
        return replace(example, messages=(replace(first, train=False), *others))
    return example


def _until_last_answer(chat: ChatExample) -> ChatExample:
    """The conversation without the turns behind the last one that can be trained."""
    turns = chat.messages
    taught = [at for at, turn in enumerate(turns) if turn.train or turn.role == "assistant"]
    if taught and taught[-1] + 1 == len(turns):
        return chat
    return replace(chat, messages=turns[: taught[-1] + 1] if taught else ())

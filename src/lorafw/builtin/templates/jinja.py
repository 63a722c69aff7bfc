"""The base of templates of conversations that are written in Jinja."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from lorafw.builtin.templates.conversation import Conversation, Stretch
from lorafw.data.rendering.conversation import NotAPrefixError, Piece, pieces
from lorafw.data.rendering.segments import Border, Part, Segment, end
from lorafw.data.rendering.template import KEY, Template, read_tools
from lorafw.data.rendering.tokens import bos_text, end_marks
from lorafw.errors import ConfigError, DataError
from lorafw.types import ChatExample, Message, Tokenizer


class JinjaConversation(Conversation, ABC):
    """Conversations, rendered by a chat template.

    A turn is what the template adds behind the generation prompt, end mark included; where the
    template writes no end mark, the end-of-sequence token is added. All special tokens in front
    come from the template, as they do when chat models are served.

    Attributes:
        behind_end: text that is trained where it stands behind a turn's end mark.
    """

    behind_end: ClassVar[str] = ""

    @abstractmethod
    def source(self) -> tuple[str, str | None]:
        """What the template is called in errors, and its Jinja unless it is the tokenizer's own."""

    def variables(self) -> Mapping[str, Any]:
        """What the template knows beside the messages and the tools."""
        return {}

    def stretches(
        self, chat: ChatExample, turns: Sequence[int], tokenizer: Tokenizer
    ) -> list[Stretch]:
        """The rendered conversation, taken apart by rendering its beginnings."""
        name, text = self.source()
        template = Template(tokenizer, name, text, self.variables(), read_tools(chat.tools))
        marks = end_marks(tokenizer)
        try:
            found = pieces(chat.messages, turns, template, marks, self.behind_end)
        except NotAPrefixError as error:
            raise _disagreement(name, error.turn, len(chat.messages)) from None
        _refuse_lost_calls(found, name)
        _refuse_lost_messages(chat.messages, found, template)
        before = [at - 1 for at in (*turns, len(chat.messages))]
        between = [
            Stretch(_given(piece.text, chat.messages[at].content if at >= 0 else ""))
            for piece, at in zip(found[::2], before, strict=True)
        ]
        between[0] = Stretch(_opened(between[0].segments, tokenizer))
        said = [_said(piece, piece.turn, tokenizer) for piece in found[1::2] if piece.turn]
        return [each for pair in zip(between, said, strict=False) for each in pair] + between[-1:]


@cache
def shipped(name: str) -> str:
    """The Jinja text of a template that comes with lorafw."""
    return files("lorafw.builtin.templates").joinpath(f"{name}.jinja").read_text(encoding="utf-8")


def _given(text: str, content: str) -> Sequence[Segment]:
    """A text between turns: what leads up to its last message, and what calls for the next one."""
    words = content.strip()
    at = text.rfind(words) + len(words) if words and words in text else len(text)
    led = Segment(text[:at], Part.TEXT)
    return [led, Segment(text[at:], Part.FIXED, Border.GLUED)] if text[at:] else [led]


def _opened(segments: Sequence[Segment], tokenizer: Tokenizer) -> Sequence[Segment]:
    """The first stretch, with the BOS token that the template wrote apart."""
    mark = bos_text(tokenizer)
    text = "".join(segment.text for segment in segments)
    # A mark that comes again, as ChatML's <|im_start|> does, begins a turn and not the row.
    if not mark or not text.startswith(mark) or text.count(mark) > 1:
        return segments
    first, *others = segments
    rest = Segment(first.text.removeprefix(mark), first.part, Border.GLUED)
    return [Segment(mark, Part.OPENING), rest, *others]


def _said(piece: Piece, turn: Message, tokenizer: Tokenizer) -> Stretch:
    said = Segment(piece.text, Part.ANSWER)
    if piece.end:
        _refuse_unread_marks(tokenizer)
        return Stretch([said, Segment(piece.end, Part.END, Border.GLUED)], turn)
    return Stretch([said, end(tokenizer)] if turn.role == "assistant" else [said], turn)


def _refuse_unread_marks(tokenizer: Tokenizer) -> None:
    """Raise ConfigError where a turn's end mark would become the pieces of its name."""
    if getattr(tokenizer, "split_special_tokens", False):
        raise ConfigError(
            "this tokenizer reads special tokens in a text as plain text, so a template cannot "
            "write the one that ends a turn.",
            where=KEY,
            mend="Take an encoder that writes them by their ids, such as glm.",
        )


def _refuse_lost_calls(found: Sequence[Piece], name: str) -> None:
    """Raise DataError when a template left out a call, as some do beside an empty text."""
    for piece in found:
        for call in piece.turn.tool_calls if piece.turn else ():
            if call.name not in piece.text:
                raise DataError(
                    f"{name} leaves out the call of the tool '{call.name}'.",
                    mend="Take a template that writes it: encoder.template.",
                )


def _refuse_lost_messages(
    messages: Sequence[Message], found: Sequence[Piece], template: Template
) -> None:
    """Raise DataError when a template passes over a message, as many do for roles unknown to them.

    A text that is not there word for word may be written in another way, so it is rendered without.
    """
    text = "".join(piece.text + piece.end for piece in found)
    for at, message in enumerate(messages):
        if message.role == "assistant" or message.content.strip() in text:
            continue
        others = [*messages[:at], *messages[at + 1 :]]
        if others and template(others, awaiting=others[-1].role != "assistant") == text:
            raise DataError(
                f"{template.name} leaves out message {at + 1}, of role '{message.role}'.",
                mend="Take a template that writes it (encoder.template), or a role it knows.",
            )


def _disagreement(name: str, turn: int, turns: int) -> ConfigError:
    return ConfigError(
        f"{name} renders turn {turn + 1} of {turns} in a conversation differently from what it "
        "asks the model for, so training and generation would disagree.",
        where=KEY,
        mend="Set encoder.template_options (thinking on or off), encoder.train_on=last, "
        "or another template.",
    )

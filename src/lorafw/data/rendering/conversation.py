"""A rendered conversation taken apart into turns, by rendering its beginnings.

What a chat template adds between `messages[:k]` with the generation prompt and `messages[:k + 1]`
is what the model has to write in turn k. No mark in the template and no search for token ids is
needed; the one condition is that a conversation's beginning renders to the beginning of its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lorafw.types import Message


class Render(Protocol):
    """A chat template: messages to text."""

    def __call__(self, messages: Sequence[Message], *, awaiting: bool) -> str:
        """The text; with `awaiting`, what calls for the assistant's answer stands behind it."""


class NotAPrefixError(Exception):
    """The text of a conversation does not begin with the text of its beginning."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        super().__init__(turn)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text.

    Attributes:
        text: what is written there.
        turn: the message it is, or None for what stands between the turns that were asked for.
        end: what tells that the turn is over: a special token, and what is trained behind it.
    """

    text: str
    turn: Message | None = None
    end: str = ""


def pieces(
    messages: Sequence[Message],
    turns: Sequence[int],
    render: Render,
    marks: Sequence[str],
    behind: str = "",
) -> list[Piece]:
    """The text of a conversation, cut at the borders of some turns.

    An assistant's turn begins behind the generation prompt and ends with its end mark; white space
    behind that (ChatML's newline) belongs to what follows, for a model stops at the mark.
    A conversation whose last word is not the assistant's ends with the generation prompt.

    Args:
        messages: the whole conversation, at least one message.
        turns: indices, ascending, of the messages to be found.
        render: the chat template.
        marks: texts of the special tokens that can end a turn.
        behind: what belongs to a turn's end where it stands behind such a token.

    Raises:
        NotAPrefixError: the template renders a beginning differently in the whole.
    """
    text = render(messages, awaiting=messages[-1].role != "assistant")
    found, at = [], 0
    for turn in turns:
        start, end = _start(messages, turn, text, render), _end(messages, turn, text, render)
        if not at <= start <= end:
            raise NotAPrefixError(turn)
        said, mark = _closing(text[start:end], messages[turn].content, marks, behind)
        found += [Piece(text[at:start]), Piece(said, messages[turn], mark)]
        at = start + len(said) + len(mark)
    return [*found, Piece(text[at:])]


def _start(messages: Sequence[Message], turn: int, text: str, render: Render) -> int:
    if turn == 0:
        return 0
    answers = messages[turn].role == "assistant"
    return _prefix(render(messages[:turn], awaiting=answers), text, turn)


def _end(messages: Sequence[Message], turn: int, text: str, render: Render) -> int:
    last = turn + 1 == len(messages)
    if last and messages[turn].role == "assistant":
        return len(text)
    upto = render(messages[: turn + 1], awaiting=False)
    if text.startswith(upto):
        return len(upto)
    if last:
        raise NotAPrefixError(turn)
    return _start_of_next(messages, turn, text, render)


def _start_of_next(messages: Sequence[Message], turn: int, text: str, render: Render) -> int:
    # Qwen3 writes a turn's empty <think> block only while that turn is the last, so the turn's
    # end is found from the other side: where the message behind it begins. Answers of several
    # tools are one message to Qwen, so those of one role are taken together.
    behind = turn + 1
    while behind < len(messages) and messages[behind].role == messages[turn + 1].role:
        behind += 1
    before = render(messages[:turn], awaiting=False) if turn else ""
    skipped = render([*messages[:turn], *messages[turn + 1 : behind]], awaiting=False)
    following = skipped[_prefix(before, skipped, turn) :]
    upto = _prefix(render(messages[:behind], awaiting=False), text, turn)
    if not following or not text[:upto].endswith(following):
        raise NotAPrefixError(turn)
    return upto - len(following)


def _prefix(beginning: str, text: str, turn: int) -> int:
    if not text.startswith(beginning):
        raise NotAPrefixError(turn)
    return len(beginning)


def _closing(written: str, content: str, marks: Sequence[str], behind: str) -> tuple[str, str]:
    """What of a turn's text is said, and what ends it; nothing where no mark does."""
    bare = written.rstrip()
    ends = [mark for mark in marks if bare.endswith(mark) and not _own(mark, bare, content)]
    if ends:
        mark = max(ends, key=len)
        tail = behind if written.startswith(behind, len(bare)) else ""
        return bare.removesuffix(mark), mark + tail
    found = 0 if written.startswith(content) else written.rfind(content)
    return written[: max(len(bare), found + len(content) if found >= 0 else 0)], ""


def _own(mark: str, written: str, content: str) -> bool:
    """Whether a mark at the end of a turn is the content's own and not the template's."""
    bare = content.rstrip()
    return bare.endswith(mark) and bare not in written.removesuffix(mark)

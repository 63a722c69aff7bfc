"""One request's answers, and what its handler hears of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.inference.generation.answer import Answer, End


@dataclass(frozen=True, slots=True)
class Grown:
    """News of an answer.

    Attributes:
        index: which of the request's answers.
        piece: text that can be shown now and could not before; all of it at the end of an answer
            that is not streamed.
        tokens: how many tokens the answer has.
        end: why it ended; None while it goes on.
    """

    index: int
    piece: str
    tokens: int
    end: End | None


class Job:
    """The answers of one request, which grow in another thread.

    Only the event loop touches what it holds; news waits until somebody listens, at most one piece
    for each token of the answers.

    Args:
        answers: without tokens yet.
        prompt_tokens: tokens of what was asked, each prompt once.
        streams: pieces are wanted as they come; else only ends are told.
    """

    def __init__(self, answers: Sequence[Answer], prompt_tokens: int, *, streams: bool) -> None:
        self.answers, self.prompt_tokens, self.streams = tuple(answers), prompt_tokens, streams
        self.unfinished = set(range(len(answers)))
        self._news: asyncio.Queue[Grown | Exception] = asyncio.Queue()

    @property
    def answer_tokens(self) -> int:
        """Tokens of the answers so far."""
        return sum(len(answer.ids) for answer in self.answers)

    def tell(self, news: Grown | Exception) -> None:
        """Put news behind what was not yet heard."""
        if isinstance(news, Grown) and news.end is not None:
            self.unfinished.discard(news.index)
        self._news.put_nowait(news)

    async def hear(self) -> Grown:
        """The next news.

        Raises:
            Exception: the answers failed; it says why.
        """
        news = await self._news.get()
        if isinstance(news, Exception):
            raise news
        return news

"""What both kinds of reply have in common."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorafw.serving.job import Grown, Job
    from lorafw.serving.wishes import Wishes
    from lorafw.types import Tokenizer


class Reply(ABC):
    """Puts a job's answers into the JSON of a response, at once or in chunks.

    Args:
        job: the answers.
        request: what was asked for.
        tokenizer: the model's.
    """

    prefix: ClassVar[str]
    kind: ClassVar[str]
    chunk_kind: ClassVar[str]

    def __init__(self, job: Job, request: Wishes, tokenizer: Tokenizer) -> None:
        self._job, self._request, self._tokenizer = job, request, tokenizer
        self._id, self._created = f"{self.prefix}-{secrets.token_hex(12)}", int(time.time())
        self._told = [0] * len(job.answers)

    @abstractmethod
    def choice(self, ended: Grown) -> dict[str, Any]:
        """One whole answer."""

    @abstractmethod
    def opening(self, index: int) -> dict[str, Any] | None:
        """What a stream says of an answer before its first piece, if anything."""

    @abstractmethod
    def pieces(self, grown: Grown) -> Iterator[dict[str, Any]]:
        """What a stream says when an answer has grown."""

    def whole(self, ended: Sequence[Grown]) -> dict[str, Any]:
        """The body of a response that is not streamed."""
        choices = [self.choice(each) for each in sorted(ended, key=lambda each: each.index)]
        return {**self._head(self.kind), "choices": choices, "usage": self._usage()}

    def first_chunks(self) -> Iterator[dict[str, Any]]:
        """What a stream begins with."""
        openings = (self.opening(index) for index in range(len(self._job.answers)))
        return (self._chunk([opening]) for opening in openings if opening is not None)

    def chunks(self, grown: Grown) -> Iterator[dict[str, Any]]:
        """What is streamed of an answer that has grown."""
        for piece in self.pieces(grown):
            yield self._chunk([piece])
        self._told[grown.index] = grown.tokens

    def last_chunks(self) -> Iterator[dict[str, Any]]:
        """What a stream ends with."""
        if self._request.tells_usage:
            yield {**self._chunk([]), "usage": self._usage()}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        counted = {"usage": None} if self._request.tells_usage else {}
        return {**self._head(self.chunk_kind), "choices": choices, **counted}

    def _head(self, kind: str) -> dict[str, Any]:
        about = {"id": self._id, "object": kind, "created": self._created}
        return {**about, "model": self._request.model}

    def _usage(self) -> dict[str, int]:
        asked, answered = self._job.prompt_tokens, self._job.answer_tokens
        total = asked + answered
        return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": total}

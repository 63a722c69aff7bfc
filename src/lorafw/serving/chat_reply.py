"""Replies to `POST /v1/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lorafw.serving import chances
from lorafw.serving.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.serving.job import Grown


class ChatReply(Reply):
    """An assistant's messages; a stream tells the role first and the reason of the end last."""

    prefix: ClassVar[str] = "chatcmpl"
    kind: ClassVar[str] = "chat.completion"
    chunk_kind: ClassVar[str] = "chat.completion.chunk"

    def choice(self, ended: Grown) -> dict[str, Any]:
        """A message and why it ended."""
        message = {"role": "assistant", "content": ended.piece, "refusal": None}
        return {
            "index": ended.index,
            "message": message,
            "logprobs": self._chances(ended),
            "finish_reason": ended.end,
        }

    def opening(self, index: int) -> dict[str, Any]:
        """Whose turn it is."""
        return _delta(index, {"role": "assistant", "content": ""})

    def pieces(self, grown: Grown) -> Iterator[dict[str, Any]]:
        """More of the message; its end comes in a piece of its own."""
        found = self._chances(grown)
        if grown.piece or (found and found["content"]):
            yield _delta(grown.index, {"content": grown.piece}, found)
        if grown.end is not None:
            yield _delta(grown.index, {}, end=grown.end)

    def _chances(self, grown: Grown) -> dict[str, Any] | None:
        answer, start = self._job.answers[grown.index], self._told[grown.index]
        if answer.sampling.logprobs is None:
            return None
        return chances.of_chat(answer, self._tokenizer, start, grown.tokens)


def _delta(
    index: int,
    delta: dict[str, str],
    logprobs: dict[str, Any] | None = None,
    end: str | None = None,
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": end}

"""Replies to `POST /v1/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lorafw.serving import chances
from lorafw.serving.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.serving.completion_request import CompletionRequest
    from lorafw.serving.job import Grown, Job
    from lorafw.types import Tokenizer


class CompletionReply(Reply):
    """Texts that go on from prompts, with the prompts in front if that was asked for."""

    prefix: ClassVar[str] = "cmpl"
    kind: ClassVar[str] = "text_completion"
    chunk_kind: ClassVar[str] = "text_completion"

    def __init__(self, job: Job, request: CompletionRequest, tokenizer: Tokenizer) -> None:
        super().__init__(job, request, tokenizer)
        self._echoed = [self._echo(index, request) for index in range(len(job.answers))]
        self._offsets = [0] * len(job.answers)

    def choice(self, ended: Grown) -> dict[str, Any]:
        """A text and why it ended."""
        return self._choice(ended, self._echoed[ended.index] + ended.piece)

    def opening(self, index: int) -> dict[str, Any] | None:
        """The prompt, if it is wanted."""
        if not self._echoed[index]:
            return None
        return {
            "index": index,
            "text": self._echoed[index],
            "logprobs": None,
            "finish_reason": None,
        }

    def pieces(self, grown: Grown) -> Iterator[dict[str, Any]]:
        """More of the text."""
        yield self._choice(grown, grown.piece)

    def _choice(self, grown: Grown, text: str) -> dict[str, Any]:
        return {
            "index": grown.index,
            "text": text,
            "logprobs": self._chances(grown),
            "finish_reason": grown.end,
        }

    def _chances(self, grown: Grown) -> dict[str, Any] | None:
        answer, at = self._job.answers[grown.index], grown.index
        if answer.sampling.logprobs is None:
            return None
        start, offset = self._told[at], self._offsets[at]
        found = chances.of_completion(answer, self._tokenizer, start, grown.tokens, offset)
        self._offsets[at] += sum(map(len, found["tokens"]))
        return found

    def _echo(self, index: int, request: CompletionRequest) -> str:
        if not request.echo:
            return ""
        prompt = request.prompts[index // request.choices]
        return prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)

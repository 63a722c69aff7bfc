"""One answer while it grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lorafw.inference.generation.choosing import Chooser
from lorafw.inference.generation.growing_text import GrowingText

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from lorafw.inference.generation.sampling import Sampling
    from lorafw.types import Tokenizer

End = Literal["stop", "length"]
"""Why an answer ended: by itself or by a stop text, or at its longest."""


@dataclass(frozen=True, slots=True)
class TokenChances:
    """Log-probabilities, in nats, of the model's own scores at one token of an answer.

    Attributes:
        chosen: of the token that was chosen.
        likeliest: of the likeliest tokens, by id, the likeliest first.
    """

    chosen: float
    likeliest: dict[int, float]


class Answer:
    """What was asked, what has been answered so far, and what ends it.

    Args:
        prompt: ids of what was asked.
        stops: ids that end the answer; the one that does is its last.
        sampling: how tokens are chosen.
        tokenizer: what decodes the answer.
        room: how many more tokens the model has positions for.
        adapter: who answers; None is the model as it is.

    Attributes:
        ids: the answer's tokens.
        end: why it ended; None while it goes on.
        chances: one for each token, if they were asked for.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        stops: Collection[int],
        sampling: Sampling,
        tokenizer: Tokenizer,
        *,
        room: int,
        adapter: str | None = None,
    ) -> None:
        self.prompt, self.sampling, self.adapter = tuple(prompt), sampling, adapter
        self.longest = min(sampling.max_new_tokens, room)
        self.ids: list[int] = []
        self.end: End | None = None
        self.chances: list[TokenChances] = []
        self._stops = frozenset(stops)
        self._choose = Chooser(sampling)
        self._text = GrowingText(tokenizer, sampling.stop)
        self._read = 0

    @property
    def size(self) -> int:
        """Most tokens that prompt and answer can come to."""
        return len(self.prompt) + self.longest

    @property
    def text(self) -> str:
        """The text so far, without special tokens and without the stop text."""
        self._catch_up()
        return self._text.text

    def piece(self) -> str:
        """What can be shown now and was not before; all pieces together are the text."""
        self._catch_up()
        return self._text.fresh(done=self.end is not None)

    def choose(self, scores: Tensor) -> int:
        """The next token, by the model's scores, fp32 [vocab]."""
        return self._choose(self.prompt, self.ids, scores)

    def take(self, token: int, scores: Tensor) -> None:
        """Grow by a token that was chosen by scores, fp32 [vocab]."""
        self.ids.append(token)
        if self.sampling.logprobs is not None:
            self.chances.append(_chances(token, scores, self.sampling.logprobs))
        if token in self._stops or (self.sampling.stop and self._met_stop_text()):
            self.end = "stop"
        elif len(self.ids) >= self.longest:
            self.end = "length"

    def _met_stop_text(self) -> bool:
        self._catch_up()
        return self._text.stopped

    def _catch_up(self) -> None:
        if self._read < len(self.ids):
            self._text.read(self.ids)
            self._read = len(self.ids)


def _chances(token: int, scores: Tensor, many: int) -> TokenChances:
    logs = scores.log_softmax(-1)
    values, ids = logs.topk(min(many, len(logs)))
    likeliest = dict(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenChances(float(logs[token]), likeliest)

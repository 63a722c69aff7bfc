"""How the next token of an answer is chosen, and when the answer ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from lorafw.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Sampling:
    """The wishes of one request.

    Attributes:
        max_new_tokens: most tokens of an answer.
        temperature: 0 takes the likeliest token each time; above it, tokens are drawn.
        top_p: draw from the likeliest tokens that together have this probability.
        top_k: draw from this many of the likeliest tokens; 0 from all.
        repetition_penalty: divides the scores of tokens that occurred, prompt included
            (arXiv:1909.05858, section 4.1); 1 is none.
        presence_penalty: taken off the scores of tokens that the answer has already.
        frequency_penalty: the same for each time that it has them.
        bias: added to the scores of tokens, by id.
        seed: of the draws; the same seed gives the same answer, alone or among others.
        stop: texts that end the answer, or one; they are not part of it.
        logprobs: at how many of the likeliest tokens' log-probabilities to look; None not at all.

    Raises:
        UsageError: a value is out of range.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0
    stop: Sequence[str] = ()
    logprobs: int | None = None

    def __post_init__(self) -> None:
        # A text is a sequence of its letters; none of them is meant to end an answer.
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stop", stop)
        if faults := list(self._faults()):
            raise UsageError(f"needed: {', '.join(faults)}.")

    def _faults(self) -> Iterator[str]:
        needed = {
            "max_new_tokens >= 1": self.max_new_tokens >= 1,
            "0 <= temperature < inf": 0 <= self.temperature < math.inf,
            "0 < top_p <= 1": 0 < self.top_p <= 1,
            "top_k >= 0": self.top_k >= 0,
            "0 < repetition_penalty < inf": 0 < self.repetition_penalty < math.inf,
            "finite penalties": math.isfinite(self.presence_penalty + self.frequency_penalty),
            "0 <= seed < 2^63": 0 <= self.seed < 2**63,
            "no empty stop": all(self.stop),
            "logprobs >= 0": self.logprobs is None or self.logprobs >= 0,
        }
        return (wish for wish, holds in needed.items() if not holds)

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken as the model scores it."""
        return self.temperature == 0 and not self.shifts

    @property
    def shifts(self) -> bool:
        """Whether scores are changed before any token is chosen."""
        penalties = self.presence_penalty, self.frequency_penalty
        return self.repetition_penalty != 1 or any(penalties) or bool(self.bias)


class Wishes(TypedDict, total=False):
    """The same as keyword arguments: what is left out is as `Sampling` has it."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    bias: Mapping[int, float]
    seed: int
    stop: Sequence[str]
    logprobs: int | None

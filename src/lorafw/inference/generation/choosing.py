"""From scores to the next token of one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import (
    LogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lorafw.inference.generation.sampling import Sampling

_LEAST_TEMPERATURE = 1e-30
"""Below it scores leave the range of fp32; long before, the likeliest token is always drawn."""


class Chooser:
    """Chooses the tokens of one answer; what it draws does not depend on other answers.

    Adding Gumbel noise to log-probabilities and taking the largest draws exactly from them
    (Maddison et al. 2014, arXiv:1411.0030, section 2).
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._narrow = _warpers(sampling)

    def __call__(self, prompt: Sequence[int], answer: Sequence[int], scores: Tensor) -> int:
        """The next token.

        Args:
            prompt: ids of what was asked.
            answer: ids of the answer so far.
            scores: the model's, fp32 [vocab].
        """
        if self._sampling.shifts:
            scores = self._shifted(prompt, answer, scores)
        if self._sampling.temperature > 0:
            scores = self._noisy(scores)
        return int(scores.argmax())

    def _shifted(self, prompt: Sequence[int], answer: Sequence[int], scores: Tensor) -> Tensor:
        wishes, scores = self._sampling, scores.clone()
        if wishes.repetition_penalty != 1:
            seen = torch.tensor([[*prompt, *answer]], device=scores.device)
            penalty = RepetitionPenaltyLogitsProcessor(wishes.repetition_penalty)
            scores = penalty(seen, scores[None])[0]
        if answer:
            times = torch.bincount(torch.tensor(answer), minlength=len(scores)).to(scores)
            scores -= wishes.presence_penalty * (times > 0) + wishes.frequency_penalty * times
        for token, bias in wishes.bias.items():
            scores[token] += bias
        return scores

    def _noisy(self, scores: Tensor) -> Tensor:
        nothing = torch.empty(0, dtype=torch.long)
        for narrow in self._narrow:
            scores = narrow(nothing, scores[None])[0]
        noise = torch.empty(len(scores)).exponential_(generator=self._generator).log()
        return scores - noise.to(scores.device)


def _warpers(sampling: Sampling) -> list[LogitsProcessor]:
    """What narrows the choice; tokens left out stay at minus infinity, whatever the noise."""
    if sampling.temperature == 0:
        return []
    temperature = max(sampling.temperature, _LEAST_TEMPERATURE)
    found: list[LogitsProcessor] = [TemperatureLogitsWarper(temperature)]
    if sampling.top_k:
        found.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        found.append(TopPLogitsWarper(sampling.top_p))
    return found

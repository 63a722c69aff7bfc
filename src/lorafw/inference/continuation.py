"""What follows on rows of token ids: several at once, each with its own end and its own draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    StoppingCriteria,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from lorafw.errors import UsageError
from lorafw.models.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lorafw.contracts.model import ModelBundle


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        max_new_tokens: most tokens of an answer.
        temperature: 0 takes the likeliest token each time; above it, tokens are drawn.
        top_p: draw from the likeliest tokens that together have this probability.
        seed: of the draws; the same seed gives the same answer, alone or among others.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            raise UsageError("needed: temperature >= 0, 0 < top_p <= 1, max_new_tokens >= 1.")


def continue_rows(
    bundle: ModelBundle,
    rows: Sequence[Sequence[int]],
    stops: Sequence[Collection[int]],
    sampling: Sampling,
) -> list[list[int]]:
    """The ids that follow on each row, up to and including the one that ends its answer.

    Args:
        bundle: the model, with whatever is adapted in it.
        rows: token ids, none of them empty; shorter ones are padded on the left.
        stops: for each row, the ids that end its answer.
        sampling: how tokens are chosen.

    Raises:
        UsageError: a row is empty, or fills the model's context.
    """
    model: Any = bundle.module
    ids, mask = _left_padded(rows, bundle)
    drawn = [SeededDraws(sampling, len(rows))] if sampling.temperature > 0 else []
    with quiet():
        output = model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=min(sampling.max_new_tokens, *(_room(bundle, len(r)) for r in rows)),
            do_sample=False,
            pad_token_id=bundle.pad_id,
            logits_processor=drawn,
            stopping_criteria=[StopByRow(stops)],
        )
    new = output[:, ids.shape[1] :].tolist()
    return [_up_to_stop(row, ends) for row, ends in zip(new, stops, strict=True)]


class SeededDraws(LogitsProcessor):  # type: ignore[misc]
    """Turns the likeliest token into a drawn one, row by row from a generator of the row's own.

    Adding Gumbel noise to log-probabilities and taking the largest draws exactly from them
    (Maddison et al. 2014, arXiv:1411.0030, section 2), and does not depend on the other rows.
    """

    def __init__(self, sampling: Sampling, rows: int) -> None:
        self._generators = [torch.Generator().manual_seed(sampling.seed) for _ in range(rows)]
        self._warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(sampling.temperature)]
        if sampling.top_p < 1:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [rows, vocab] with noise; tokens that `top_p` leaves out stay at -inf."""
        scores = scores.float()
        for warp in self._warpers:
            scores = warp(input_ids, scores)
        width = scores.shape[-1]
        noise = [torch.empty(width).exponential_(generator=g).log() for g in self._generators]
        return scores - torch.stack(noise).to(scores.device)


class StopByRow(StoppingCriteria):  # type: ignore[misc]
    """Ends each row at ids of its own."""

    def __init__(self, stops: Sequence[Collection[int]]) -> None:
        self._stops = stops

    def __call__(self, input_ids: Tensor, scores: Tensor, **options: Any) -> Tensor:  # noqa: ARG002
        """Which rows [rows] have just ended."""
        last = input_ids[:, -1].tolist()
        ended = [token in stops for token, stops in zip(last, self._stops, strict=True)]
        return torch.tensor(ended, device=input_ids.device)


def _left_padded(rows: Sequence[Sequence[int]], bundle: ModelBundle) -> tuple[Tensor, Tensor]:
    """Ids and attention mask [rows, length], on the model's device."""
    length = max(map(len, rows))
    ids = [[bundle.pad_id] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    device = next(bundle.module.parameters()).device
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _room(bundle: ModelBundle, used: int) -> int:
    """How many more tokens the model has positions for."""
    model: Any = bundle.module
    config = model.config.get_text_config(decoder=True)
    positions = getattr(config, "max_position_embeddings", None) or 2**31
    if used == 0:
        raise UsageError("the prompt is empty.")
    if used >= positions:
        fault = f"the prompt has {used} tokens, the model's context is {positions}."
        raise UsageError(fault, mend="Shorten the prompt.")
    return int(positions) - used


def _up_to_stop(ids: list[int], stops: Collection[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return ids[: end + 1]

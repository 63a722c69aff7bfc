"""NEFTune's noise on embeddings (Jain et al. 2023, arXiv:2310.05914), the same for every split.

The noise is no stream of random numbers but a hash of (seed, step, row, position, channel), where a
row is known by its tokens. So it does not matter which rows share a micro-batch, on which rank and
in which layout; rows of the same tokens in one step have the same noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lorafw.contracts.trainer import TrainJob
from lorafw.errors import TrainingError

_BITS = 24  # as many as an fp32 number holds exactly


def _signed(value: int) -> int:
    """The int64 of the same bits as an unsigned one; products of both wrap alike."""
    return value - (1 << 64) if value >= 1 << 63 else value


_STRIDE, _FIRST, _SECOND = map(
    _signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of a batch stand; all tensors are flat, one value per token.

    Attributes:
        ids: the tokens.
        row: the number of a token's row in this batch.
        position: its place in the row, padding not counted.
        real: whether it is a token and not padding.
        rows: how many rows there are.
    """

    ids: Tensor
    row: Tensor
    position: Tensor
    real: Tensor
    rows: int

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor]) -> Places:
        """The places of a batch in either layout."""
        ids = inputs["input_ids"]
        if "cu_seqlens" in inputs:
            return cls._of_segments(ids, inputs["cu_seqlens"])
        mask = inputs["attention_mask"]
        row = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)
        position = mask.cumsum(1) - 1
        return cls(ids.flatten(), row.flatten(), position.flatten(), mask.flatten() > 0, len(ids))

    @classmethod
    def _of_segments(cls, ids: Tensor, starts: Tensor) -> Places:
        rows = len(starts) - 1
        row = torch.arange(rows, device=ids.device).repeat_interleave(
            starts.diff(), output_size=len(ids)
        )
        position = torch.arange(len(ids), device=ids.device) - starts[row]
        return cls(ids, row, position, torch.ones_like(ids, dtype=torch.bool), rows)

    def total(self, values: Tensor) -> Tensor:
        """For each token, the sum of a value over the tokens of its row."""
        sums = torch.zeros(self.rows, dtype=values.dtype, device=values.device)
        return sums.index_add_(0, self.row, values * self.real)[self.row]


def noise(places: Places, width: int, alpha: float, key: int) -> Tensor:
    """Uniform in ±alpha / sqrt(tokens of the row · width).

    Args:
        places: where the tokens stand.
        width: channels of an embedding.
        alpha: NEFTune's.
        key: an int64 that stands for seed and step.

    Returns:
        fp32 [tokens, width].
    """
    place = places.position.long() * _STRIDE
    row = places.total(_mix(_mix(place) + places.ids.long()))
    token = _mix(_mix(row + key) + place)
    channels = torch.arange(width, device=token.device) * _STRIDE
    bits = _shifted(_mix(token[:, None] + channels), 64 - _BITS)
    unit = bits.float() / (1 << (_BITS - 1)) - 1
    tokens = places.total(torch.ones_like(places.position))
    return unit * (alpha / (tokens * width).float().sqrt())[:, None]


def _shifted(value: Tensor, by: int) -> Tensor:
    """A logical shift to the right; that of torch copies the sign."""
    return (value >> by) & ((1 << (64 - by)) - 1)


def _mix(value: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014) on int64."""
    value = (value ^ _shifted(value, 30)) * _FIRST
    value = (value ^ _shifted(value, 27)) * _SECOND
    return value ^ _shifted(value, 31)


class EmbeddingNoise:
    """Adds the plan's noise to the embeddings of training's forward passes."""

    def __init__(self, job: TrainJob) -> None:
        self._alpha, self._seed = job.plan.neftune_alpha, job.seed
        self._module: Any = job.model.bundle.module

    @contextmanager
    def added(self, inputs: Mapping[str, Tensor], step: int) -> Iterator[None]:
        """While open, embeddings of this batch are noisy.

        Raises:
            TrainingError: the model did not look these tokens up in its embedding.
        """
        if self._alpha is None:
            yield
            return
        hook = _Hook(Places.of(inputs), self._alpha, _key(self._seed, step))
        handle = self._module.get_input_embeddings().register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()
        if not hook.added:
            raise TrainingError(
                "this model does not look up the rows' tokens in its input embedding.",
                where="plan.neftune_alpha",
                mend="Leave this option out.",
            )


class _Hook:
    """Changes what an embedding returns for the tokens of one batch."""

    def __init__(self, places: Places, alpha: float, key: int) -> None:
        self._places, self._alpha, self._key = places, alpha, key
        self.added = False

    def __call__(self, _module: nn.Module, _inputs: object, embedded: Tensor) -> Tensor:
        if embedded.shape[:-1].numel() != len(self._places.ids):
            return embedded  # other tokens, such as those of a prompt that is looked up apart
        self.added = True
        found = noise(self._places, embedded.shape[-1], self._alpha, self._key)
        return embedded + found.view_as(embedded).to(embedded.dtype)


def _key(seed: int, step: int) -> int:
    digest = hashlib.sha256(f"neftune/{seed}/{step}".encode()).digest()
    return _signed(int.from_bytes(digest[:8], "big"))

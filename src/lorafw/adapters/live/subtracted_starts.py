"""Adapters with a subtracted start in the form in which everyone reads them: plain LoRA."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from lorafw.types import AdapterState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.types import AdapterSpec


def with_starts(state: AdapterState, starts: Mapping[str, tuple[Tensor, Tensor]]) -> AdapterState:
    """`B A - B0 A0` as LoRA of twice the rank: `[B, -B0] [A; A0]`, by the same factor.

    Args:
        state: of the live parameters.
        starts: A0 and B0 of every target.
    """
    tensors = dict(state.tensors)
    for module, pair in starts.items():
        down, up = state.spec.pair_of(module)
        a, b = (factor.detach().float().cpu() for factor in pair)
        tensors[down] = torch.cat([tensors[down], a])
        tensors[up] = torch.cat([tensors[up], -b], dim=1)
    return AdapterState(_of_twice_the_rank(state.spec), tensors)


def _of_twice_the_rank(spec: AdapterSpec) -> AdapterSpec:
    """The same modules, factors and all else."""
    growth = 2**0.5 if spec.use_rslora else 2
    return replace(
        spec,
        rank=2 * spec.rank,
        alpha=growth * spec.alpha,
        rank_pattern={name: 2 * rank for name, rank in spec.rank_pattern.items()},
        alpha_pattern={name: growth * alpha for name, alpha in spec.alpha_pattern.items()},
    )


def parted(
    spec: AdapterSpec, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """Live values and starts from what `with_starts` made, bit for bit.

    Args:
        spec: of the live parameters.
        tensors: by canonical name.
    """
    values, starts = dict(tensors), {}
    for module in spec.targets:
        down, up = spec.pair_of(module)
        rank = spec.rank_of(module)
        starts[module] = tensors[down][rank:], -tensors[up][:, rank:]
        values[down], values[up] = tensors[down][:rank], tensors[up][:, :rank]
    return values, starts

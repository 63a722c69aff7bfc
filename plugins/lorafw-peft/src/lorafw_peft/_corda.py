"""CorDA: the factors start as the part of a weight that matters most to the data, or least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorafw_peft._looking import in_turns, look, sharing
from lorafw_peft._starts import base_weight, check_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec, Batch

_DAMPING = 0.01
"""Share of the mean variance that is added to all variances, doubled until an inverse exists."""
_INVERSE_ERROR = 0.05


def corda_pairs(
    bundle: ModelBundle,
    spec: AdapterSpec,
    layers: Mapping[str, Any],
    batches: Sequence[Batch],
    *,
    least: bool,
) -> Iterator[tuple[str, Tensor]]:
    """A and B of every module by canonical name (CorDA, arXiv:2406.05223).

    Covariances of inputs are gathered for as many layers at a time as there is room for, each
    micro-batch scaled by its largest input, as PEFT does.

    Args:
        bundle: the model.
        spec: its adapter.
        layers: by module.
        batches: rows of data.
        least: take what matters least (knowledge-preserved mode), not most (instruction-previewed).
    """
    groups = {group[0]: group for group in sharing(bundle, batches[0], layers)}
    widths = {name: base_weight(layers[name]).shape[1] for name in groups}
    for turn in in_turns({name: width**2 for name, width in widths.items()}):
        seen = {name: _Covariance() for name in turn}
        for batch in batches:
            look(bundle, batch, layers, {name: c.see for name, c in seen.items()})
        for name in turn:
            for module in groups[name]:
                rank, scaling = spec.rank_of(module), spec.scaling_of(module)
                weight = base_weight(layers[module])
                check_rank("corda", rank, weight)
                pair = _pair(weight, seen[name].mean(weight), rank, scaling, least=least)
                yield from zip(spec.pair_of(module), pair, strict=True)


class _Covariance:
    """The mean of XᵀX over micro-batches, [in, in], X scaled to at most one."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def see(self, rows: Tensor) -> None:
        """Take in rows, [n, in]; an expert may have been given none."""
        largest = rows.float().max().abs() if len(rows) else torch.zeros(())
        if largest > 0:
            scaled = rows.float() / largest
            product = scaled.T @ scaled
            self._sum = product if self._sum is None else self._sum.add_(product)
            self._count += 1

    def mean(self, weight: Tensor) -> Tensor:
        """What was seen; where nothing was, no input matters more than another."""
        if self._sum is None:
            return torch.eye(weight.shape[1], device=weight.device)
        return self._sum / self._count


@torch.no_grad()
def _pair(
    weight: Tensor, covariance: Tensor, rank: int, scaling: float, *, least: bool
) -> tuple[Tensor, Tensor]:
    """W·C = U·S·Vᵀ; A = √(S/s)·Vᵀ·C⁻¹ and B = U·√(S/s) of the chosen r triplets."""
    covariance, inverse = _inverted(covariance)
    left, values, right = torch.linalg.svd(weight @ covariance, full_matrices=False)
    chosen = slice(-rank, None) if least else slice(rank)
    roots = (values[chosen] / scaling).sqrt()
    return roots[:, None] * (right @ inverse)[chosen], left[:, chosen] * roots


def _inverted(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The covariance, damped until it has an inverse worth the name, and that."""
    one = torch.eye(len(covariance), device=covariance.device)
    damping = _DAMPING * covariance.diagonal().mean()
    while True:
        damped = covariance + damping * one
        inverse: Tensor = torch.linalg.inv(damped)
        if torch.dist(damped @ inverse, one) < _INVERSE_ERROR:
            return damped, inverse
        damping = damping * 2

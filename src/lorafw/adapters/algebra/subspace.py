"""The largest singular values and vectors of a matrix, without the rest."""

from __future__ import annotations

import torch
from torch import Tensor


def largest_singular(
    matrix: Tensor, count: int, generator: torch.Generator, *, rounds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """About the largest triplets, by randomised subspace iteration.

    Halko, Martinsson and Tropp 2011 (arXiv:0909.4061), algorithms 4.4 and 5.1. The last few of
    `count` are the least exact: ask for some more than are needed.

    Args:
        matrix: [out, in], fp32 or wider.
        count: how many triplets; no more than the smaller side are there.
        generator: of the start, on the CPU.
        rounds: power iterations.

    Returns:
        [out, k], [k] and [k, in], the largest first.
    """
    size = matrix.shape[1], min(count, *matrix.shape)
    start = torch.randn(size, generator=generator).to(matrix.device)
    basis = torch.linalg.qr(matrix @ start).Q
    for _ in range(rounds):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    left, values, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ left, values, right

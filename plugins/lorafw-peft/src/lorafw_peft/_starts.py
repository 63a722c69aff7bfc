"""Values of LoRA's factors at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorafw.errors import AdapterError
from lorafw.models.dense import weight_by_output

if TYPE_CHECKING:
    from torch import Tensor


def start_pair(
    start: str, layer: Any, rank: int, scaling: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A of shape [r, in] and B of shape [out, r], fp32 on the CPU, by one of PEFT's rules.

    Args:
        start: any of `lorafw_peft.starts` that follows from the seed and this weight.
        layer: PEFT's layer around a linear of the base.
        rank: r.
        scaling: the factor on B·A.
        generator: where random starts take their numbers.

    Raises:
        AdapterError: the rank does not fit the start.
    """
    weight = base_weight(layer)
    if start == "gaussian":
        return _gaussian(weight, rank, generator)
    if start == "orthogonal":
        return _orthogonal(weight, rank, generator)
    check_rank(start, rank, weight)
    return _olora(weight, rank) if start == "olora" else _pissa(start, weight, rank, scaling)


def check_rank(start: str, rank: int, weight: Tensor) -> None:
    """Raise AdapterError where a start takes more singular vectors than a weight has."""
    if rank > min(weight.shape):
        fault = f"{start!r} needs a rank of at most {min(weight.shape)} here, not {rank}."
        raise AdapterError(fault, where="injector.r")


@torch.no_grad()
def base_weight(layer: Any) -> Tensor:
    """The base's weight as [out, in] fp32; dequantised, and turned where it is stored as [in, out].

    An embedding counts as a linear from the vocabulary to the width.
    """
    base = layer.get_base_layer()
    weight = weight_by_output(base)
    return weight.T if isinstance(base, torch.nn.Embedding) else weight


def _gaussian(weight: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    down = torch.randn(rank, weight.shape[1], generator=generator) / rank
    return down, torch.zeros(weight.shape[0], rank)


def _orthogonal(weight: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A and B of full size whose rows and columns lie in orthogonal halves, so that B·A = 0."""
    if rank % 2:
        raise AdapterError(f"'orthogonal' needs an even rank, not {rank}.", where="injector.r")
    basis, _ = torch.linalg.qr(torch.randn(rank, rank, generator=generator))
    wide, tall = (torch.randn(n, rank // 2, generator=generator) for n in weight.shape[::-1])
    return (wide @ basis[0::2]).T / 10, tall @ basis[1::2] / 10


def _pissa(start: str, weight: Tensor, rank: int, scaling: float) -> tuple[Tensor, Tensor]:
    """The largest singular triplets of W (PiSSA, arXiv:2404.02948), scaling · B·A ≈ W."""
    if start == "pissa":
        left, values, right = torch.linalg.svd(weight, full_matrices=False)
    else:
        left, values, right = low_rank_svd(weight, rank, int(start.rpartition("_")[2]))
    roots = (values[:rank] / scaling).sqrt()
    return (roots[:, None] * right[:rank]).cpu(), (left[:, :rank] * roots).cpu()


def low_rank_svd(matrix: Tensor, rank: int, sweeps: int) -> tuple[Tensor, Tensor, Tensor]:
    """About the largest triplets of [out, in]: [out, r], [r] and [r, in] (arXiv:0909.4061)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # its random start decides next to nothing of the result
        left, values, wide = torch.svd_lowrank(matrix, rank, niter=sweeps)
    return left, values, wide.T


def _olora(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The first columns of Q and rows of R of W = Q·R (OLoRA, arXiv:2406.01775)."""
    columns, rows = torch.linalg.qr(weight)
    return rows[:rank].cpu().contiguous(), columns[:, :rank].cpu().contiguous()

"""Where training starts: first values of A and B other than LoRA's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from lorafw.adapters.algebra.subspace import largest_singular
from lorafw.contracts._adapter_values import named_generator
from lorafw.errors import AdapterError
from lorafw.types import canonical_pair

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from lorafw_custom._layer import AdapterLayer

Start: TypeAlias = Literal["kaiming", "gaussian", "pissa", "orthogonal"]

_EXTRA, _SWEEPS = 8, 8
"""Columns beyond the rank, and sweeps, with which the largest singular vectors are sought."""


def start_values(
    start: Start, layer: AdapterLayer, name: str, seed: int
) -> tuple[Tensor, Tensor] | None:
    """First values of A and B, fp32: a function of the seed, the layer's name and its weight.

    Args:
        start: None comes back for `kaiming`, which is LoRA's own (arXiv:2106.09685, section 4.1).
        layer: adapted already.
        name: of the layer, for messages and for its random numbers.
        seed: of the run.

    Raises:
        AdapterError: the layer's rank does not allow this start.
    """
    if start == "kaiming":
        return None
    generator = named_generator(canonical_pair(name)[0], seed)
    makers = {"gaussian": _gaussian, "pissa": _pissa, "orthogonal": _orthogonal}
    return makers[start](layer, name, generator)


def _gaussian(layer: AdapterLayer, name: str, generator: Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """A normal with standard deviation 1 / r, B zero, as PEFT has it."""
    rank, wide = layer.lora_A.shape
    return torch.randn(rank, wide, generator=generator) / rank, torch.zeros(layer.lora_B.shape)


def _pissa(layer: AdapterLayer, name: str, generator: Generator) -> tuple[Tensor, Tensor]:
    """A = S^1/2 V^T, B = U S^1/2 of the r largest singular values (arXiv:2404.02948, eq. 2, 3).

    Divided by the scaling, so that scaling * B A is the principal part itself.
    """
    weight, rank = layer.dense_weight().detach().float(), len(layer.lora_A)
    if rank > min(weight.shape):
        fault = f"{name} has {min(weight.shape)} singular values, fewer than the rank {rank}."
        raise AdapterError(fault, where="injector.init")
    u, s, vh = largest_singular(weight, rank + _EXTRA, generator, rounds=_SWEEPS)
    root = (s[:rank] / layer.scaling).sqrt()
    return root[:, None] * vh[:rank], u[:, :rank] * root


def _orthogonal(layer: AdapterLayer, name: str, generator: Generator) -> tuple[Tensor, Tensor]:
    """Neither is zero, but B A is: they span orthogonal halves of the rank, as PEFT has it.

    Source: https://datta0.github.io/posts/rethink-lora-init/#orthogonal-initialisation
    """
    rank, wide = layer.lora_A.shape
    if rank % 2:
        fault = f"orthogonal needs an even rank; {name} has {rank}."
        raise AdapterError(fault, where="injector.init")
    turn = torch.linalg.qr(torch.randn(rank, rank, generator=generator)).Q
    sizes = (wide, len(layer.lora_B))
    down, up = (torch.randn(size, rank // 2, generator=generator) for size in sizes)
    return (down @ turn[0::2]).t() / 10, up @ turn[1::2] / 10

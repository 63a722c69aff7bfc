"""A number that stands for the bits of a tensor, computed where the tensor is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_WORDS = (torch.int64, torch.int32, torch.int16, torch.uint8)
_ROW = 4096
"""Words that are summed before the sum is weighed with its place."""


@torch.no_grad()
def content_of(tensor: Tensor) -> Tensor:
    """A 64-bit sum over the bits of a tensor, or of this rank's part of it.

    Words of 8 bytes are added up modulo 2^64, 4096 at a time, and each of these sums is weighed
    with an odd number that depends on its place. So one changed bit changes the result for
    certain, and a change of many does not with a chance of about 2^-64. It takes as long as
    reading the memory, and copies nothing.

    Returns:
        An int64 scalar on the tensor's device; nothing waits for it.
    """
    words = _words(local_part(tensor))
    whole = len(words) // _ROW * _ROW
    sums = torch.cat(
        [words[:whole].view(-1, _ROW).sum(1), words[whole:].sum(dtype=torch.int64)[None]]
    )
    places = torch.arange(len(sums), device=sums.device)
    return (sums * (2 * places + 1)).sum()


def local_part(tensor: Any) -> Tensor:
    """What this rank holds of a tensor that may be partitioned, as a plain tensor."""
    part = getattr(tensor, "ds_tensor", tensor)  # ZeRO-3
    part = part.to_local() if hasattr(part, "to_local") else part  # a DTensor, as FSDP2 makes
    plain: Tensor = part.detach().as_subclass(Tensor)
    return plain


def _words(tensor: Tensor) -> Tensor:
    """The bits of a tensor as whole numbers, as long ones as its size and its place allow."""
    flat = tensor.contiguous().view(-1)
    sizes = (flat.numel() * flat.element_size(), flat.storage_offset() * flat.element_size())
    fitting = (word for word in _WORDS if not any(size % word.itemsize for size in sizes))
    return flat.view(next(fitting))

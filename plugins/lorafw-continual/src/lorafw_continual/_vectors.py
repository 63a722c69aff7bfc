"""Gradients by name as one long vector, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def flat(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Tensor:
    """Tensors one behind the other by name, each on the device of the one it is like.

    Returns:
        [parameters], in the dtype of the tensors.
    """
    return torch.cat([tensors[name].to(like[name].device).flatten() for name in sorted(like)])


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `flat` made, in the shapes and dtypes of `like`."""
    names = sorted(like)
    pieces = torch.split(vector, [like[name].numel() for name in names])
    named = zip(names, pieces, strict=True)
    return {name: piece.view_as(like[name]).to(like[name].dtype) for name, piece in named}

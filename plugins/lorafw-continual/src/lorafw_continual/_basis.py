"""An orthonormal basis that grows, and vectors made orthogonal to it."""

from __future__ import annotations

import torch
from torch import Tensor

_NEW = 1e-4
"""What must be left of a direction, of its length, to be one that the basis has not."""


def orthonormal(basis: Tensor, directions: Tensor) -> Tensor:
    """What directions add to an orthonormal basis, orthonormal to it and among themselves.

    By QR of what the basis leaves of them, taken away twice, since once leaves rounding errors that
    are not orthogonal. Directions that are in the span already add nothing.

    Args:
        basis: [k, parameters], rows orthonormal.
        directions: [n, parameters].

    Returns:
        [at most n, parameters], fp64.
    """
    lengths = directions.double().norm(dim=1, keepdim=True)
    wanted = directions.double()[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
    found: Tensor = wanted.new_empty(0, wanted.shape[1])
    known = basis.double()
    for direction in wanted:
        everything = torch.cat([known, found])
        left = orthogonal(orthogonal(direction, everything), everything)
        if left.norm() > _NEW:
            found = torch.cat([found, (left / left.norm())[None]])
    return found


def orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    """What is left of a vector, [parameters], outside an orthonormal basis, [k, parameters]."""
    inside: Tensor = basis @ vector
    left: Tensor = vector - inside @ basis
    return left

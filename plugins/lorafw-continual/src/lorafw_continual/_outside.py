"""A guide whose steps leave alone what stored rows depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from lorafw.contracts import Guide
from lorafw_continual._basis import orthogonal, orthonormal
from lorafw_continual._vectors import flat, unflat

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Session
    from lorafw.types import Encoded


class Outside(Guide):
    """Takes out of every gradient what lies in the span of a basis.

    Args:
        basis: [k, parameters] in the order of the gradients' names, rows orthonormal.
    """

    def __init__(self, basis: Tensor) -> None:
        self.wants_gradients = len(basis) > 0
        self._basis = basis

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gradient orthogonal to the basis."""
        del step
        gradient = flat(gradients, gradients)
        self._basis = self._basis.to(gradient.device, gradient.dtype)
        return unflat(orthogonal(gradient, self._basis), gradients)


def empty_basis(parameters: Mapping[str, Tensor]) -> Tensor:
    """No direction yet: [0, parameters], fp32."""
    return torch.empty(0, sum(each.numel() for each in parameters.values()))


def directions(session: Session, rows: Sequence[Encoded], basis: Tensor) -> Tensor:
    """What the gradients of single rows add to a basis: [at most rows, parameters], fp32."""
    like = session.values()
    found = torch.stack([flat(session.gradient([row]), like) for row in rows])
    return orthonormal(basis, found).float()

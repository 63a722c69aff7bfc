"""A guide that holds parameters near where they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorafw.contracts import Guide

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw_continual._quadratic import Quadratic


class Anchored(Guide):
    """Adds a quadratic penalty to the loss.

    Args:
        parameters: the live ones, by canonical name.
        penalty: what it is of their values; None for none.
        factor: the penalty's weight beside the loss.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor], penalty: Quadratic | None, factor: float
    ) -> None:
        self._parameters, self._factor = parameters, factor
        self._penalty = None if penalty is None else penalty.to(parameters)

    def penalty(self) -> Tensor | None:
        """The penalty at the live values: an fp32 scalar."""
        if self._penalty is None:
            return None
        return self._factor * self._penalty(self._parameters)

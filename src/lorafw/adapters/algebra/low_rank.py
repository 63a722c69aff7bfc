"""A module's update by its two thin factors; the dense product is formed only where asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.types import AdapterState


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The thin singular value decomposition of an update, in fp64.

    Attributes:
        left: directions of the output, [out, k], k the least of out, in and the factors' rank.
        values: singular values, [k], the largest first.
        right: directions of the input, [k, in].
    """

    left: Tensor
    values: Tensor
    right: Tensor

    def cut(self, rank: int) -> LowRank:
        """The nearest update of so low a rank (Eckart and Young 1936), both factors alike large."""
        root = self.values[:rank].sqrt()
        return LowRank(self.left[:, :rank] * root, root[:, None] * self.right[:rank])

    def error_at(self, rank: int) -> float:
        """Relative Frobenius error of `cut(rank)`; 0 where there is nothing to lose."""
        whole = float(self.values.norm())
        return float(self.values[rank:].norm()) / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class LowRank:
    """The update `up @ down` of a weight.

    Attributes:
        up: [out, r].
        down: [r, in], of the same dtype.
    """

    up: Tensor
    down: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Out and in."""
        return self.up.shape[0], self.down.shape[1]

    def dense(self) -> Tensor:
        """The update itself, [out, in], in fp32."""
        return self.up.float() @ self.down.float()

    def decompose(self) -> Decomposition:
        """Its singular value decomposition, by QR of both factors and the r-by-r core between."""
        q_up, r_up = torch.linalg.qr(self.up)
        q_down, r_down = torch.linalg.qr(self.down.T)
        left, values, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
        return Decomposition(q_up @ left, values, right @ q_down.T)

    def norm(self) -> float:
        """The Frobenius norm, exact to rounding even where most of the update cancels."""
        r_up = torch.linalg.qr(self.up, mode="r").R
        r_down = torch.linalg.qr(self.down.T, mode="r").R
        return float(torch.linalg.matrix_norm(r_up @ r_down.T))

    def inner(self, other: LowRank) -> float:
        """The Frobenius inner product: tr(XᵀY) from four thin factors."""
        return float(((self.up.T @ other.up) * (self.down @ other.down.T)).sum())


def factors_of(state: AdapterState, module: str) -> LowRank:
    """B and A of one module as they are stored, in fp64.

    Raises:
        AdapterError: it holds all experts of a layer, which have an update each.
    """
    if module in state.spec.parameters:
        raise AdapterError(f"{module} holds many experts with an update each; no tool reads those.")
    down, up = (state.tensors[name].double() for name in state.spec.pair_of(module))
    return LowRank(up, down)


def update_of(state: AdapterState, module: str) -> LowRank:
    """The update of one module, its scaling in `up`, in fp64.

    Of an embedding it is the update's transpose: [width, vocabulary].
    """
    stored = factors_of(state, module)
    return LowRank(stored.up * state.spec.scaling_of(module), stored.down)


def weighted_sum(updates: Sequence[LowRank], weights: Sequence[float]) -> LowRank:
    """The exact sum of weighted updates: factors side by side, so that ranks add up."""
    ups = [weight * update.up for update, weight in zip(updates, weights, strict=True)]
    return LowRank(torch.cat(ups, dim=1), torch.cat([update.down for update in updates]))

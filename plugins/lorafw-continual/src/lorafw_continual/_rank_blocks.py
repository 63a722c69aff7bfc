"""The ranks of one adapter shared out among tasks, and a guide that trains one share alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lorafw.contracts import Guide
from lorafw.errors import CompositionError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import Tensors
    from lorafw.types import AdapterSpec


@dataclass(frozen=True, slots=True)
class Factors:
    """One module's pair, of which ranks start to stop are trained.

    Attributes:
        a: name of A, [rank, in].
        b: name of B, [out, rank].
    """

    a: str
    b: str
    start: int
    stop: int


Share = Callable[[int], Sequence[Factors]]
"""Every pair, with the ranks that belong to a task of this number."""


def factors_of(spec: AdapterSpec, values: Mapping[str, Tensor]) -> list[Factors]:
    """Every pair of an adapter, whole.

    Raises:
        CompositionError: the adapter is no plain LoRA, or does not start at nothing.
    """
    pairs = [spec.pair_of(module) for module in spec.targets]
    plain = spec.method == "LORA" and not (spec.use_dora or spec.parameters)
    if not (plain and pairs and all(a in values and b in values for a, b in pairs)):
        fault = "o-lora needs an adapter of plain LoRA factors, one pair per module."
        raise _refusal(fault, "Use one, without DoRA, and of linear modules.")
    if any(bool(values[b].any()) for _, b in pairs):
        fault = "o-lora needs an adapter whose B is 0 before any training."
        raise _refusal(fault, "Choose a start that has no values of B, such as kaiming.")
    return [Factors(a, b, 0, values[a].shape[0]) for a, b in pairs]


def share_of(factors: Sequence[Factors], tasks: int) -> Share:
    """How ranks, each a multiple of the number of tasks, are shared out."""

    def share(number: int) -> list[Factors]:
        each = [(pair, pair.stop // tasks) for pair in factors]
        return [Factors(p.a, p.b, number * n, (number + 1) * n) for p, n in each]

    return share


def _refusal(fault: str, mend: str) -> CompositionError:
    return CompositionError(fault, where="injector", mend=mend)


class OwnRanks(Guide):
    """Trains some ranks of every pair, away from those below them, and leaves the others alone.

    Args:
        parameters: the live ones, by canonical name.
        values: what they are when training begins; fp32, wherever they lie.
        own: every pair with the ranks that are trained.
        lambda_1: weight of the absolute products of new with earlier rows of A.
        lambda_2: weight of the 2-norms of the new parts.
    """

    wants_gradients = True

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        values: Tensors,
        own: Sequence[Factors],
        lambda_1: float,
        lambda_2: float,
    ) -> None:
        self._parameters, self._own = parameters, own
        self._lambda_1, self._lambda_2 = lambda_1, lambda_2
        # The live ones may be older still: what a finished stage left is written when it is due.
        here = next(iter(parameters.values())).device
        self._kept = {n: part.to(here, copy=True) for n, part in self._others(values).items()}

    def penalty(self) -> Tensor | None:
        """λ_1 Σ |A_old A_newᵀ| + λ_2 Σ (‖A_new‖ + ‖B_new‖), an fp32 scalar; None for the first."""
        terms = [self._lambda_1 * self._overlap(pair) for pair in self._own if pair.start]
        if self._lambda_2:
            terms += [self._lambda_2 * self._length(pair) for pair in self._own]
        return torch.stack(terms).sum() if terms else None

    def _overlap(self, pair: Factors) -> Tensor:
        a = self._parameters[pair.a]
        products = a[: pair.start].detach() @ a[pair.start : pair.stop].T
        overlap: Tensor = products.abs().sum()
        return overlap

    def _length(self, pair: Factors) -> Tensor:
        a, b = self._parameters[pair.a], self._parameters[pair.b]
        own = slice(pair.start, pair.stop)
        length: Tensor = a[own].norm() + b[:, own].norm()
        return length

    def adjust(self, step: int, gradients: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gradients, 0 outside the trained ranks.

        Raises:
            TrainingError: an earlier step moved what should have stayed.
        """
        self._check(step)
        adjusted = dict(gradients)
        for pair in self._own:
            adjusted[pair.a] = _only(gradients[pair.a], pair, dim=0)
            adjusted[pair.b] = _only(gradients[pair.b], pair, dim=1)
        return adjusted

    def _check(self, step: int) -> None:
        for name, part in self._others(self._parameters).items():
            if not torch.equal(part, self._kept[name].to(part.device)):
                fault = f"before step {step}, ranks of other tasks moved in {name.split(' ')[0]}."
                mend = "Only gradients may move them: set plan.weight_decay to 0."
                raise TrainingError(fault, where="o-lora", mend=mend)

    def _others(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Views of what is not trained, by the parameter's name and the side it is on."""
        views: dict[str, Tensor] = {}
        for pair in self._own:
            a, b = values[pair.a].detach(), values[pair.b].detach()
            views[f"{pair.a} below"], views[f"{pair.a} above"] = a[: pair.start], a[pair.stop :]
            views[f"{pair.b} below"] = b[:, : pair.start]
            views[f"{pair.b} above"] = b[:, pair.stop :]
        return views


def _only(gradient: Tensor, pair: Factors, *, dim: int) -> Tensor:
    """The gradient of some ranks, and 0 elsewhere."""
    kept = torch.zeros_like(gradient)
    size = pair.stop - pair.start
    kept.narrow(dim, pair.start, size).copy_(gradient.narrow(dim, pair.start, size))
    return kept

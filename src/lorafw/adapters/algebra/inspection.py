"""What an adapter is: its modules, ranks and sizes, and the spectrum of each update."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.adapters.algebra.low_rank import update_of
from lorafw.adapters.algebra.spectrum import Spectrum
from lorafw.adapters.layout.kinds import beside_factors, factored, method_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lorafw.adapters.algebra.base_norms import BaseNorms
    from lorafw.types import AdapterState


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """One module's update s·B·A; of DoRA without what its magnitude adds.

    Attributes:
        outputs, inputs: features of the update, [outputs, inputs].
        parameters: numbers in A and B.
        norm: Frobenius norm of the update.
        relative_norm: that over the norm of the base's weight; None if that is unknown.
        effective_rank, stable_rank: see `Spectrum`.
        singular_values: of the update, the largest first.
    """

    name: str
    rank: int
    alpha: float
    scaling: float
    outputs: int
    inputs: int
    parameters: int
    norm: float
    relative_norm: float | None
    effective_rank: float
    stable_rank: float
    singular_values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TensorReport:
    """A tensor that is no A and no B, such as a trained head or a DoRA magnitude."""

    name: str
    shape: tuple[int, ...]
    norm: float


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """An adapter.

    Attributes:
        method: such as LoRA, rsLoRA, DoRA, or PEFT's name of another.
        rank, alpha, dropout: what most modules have; of other methods 0.
        options: what PEFT's config says of another method.
        modules: those whose update is s·B·A, in order.
        others: all other tensors.
        parameters: numbers in all tensors.
        base_parameters: numbers in the base model's files; None if they are not at hand.
    """

    method: str
    rank: int
    alpha: float
    dropout: float
    options: Mapping[str, Any]
    modules: tuple[ModuleReport, ...]
    others: tuple[TensorReport, ...]
    parameters: int
    base_parameters: int | None

    @property
    def norm(self) -> float:
        """Frobenius norm of all updates together."""
        return math.hypot(*(module.norm for module in self.modules))


def inspect_adapter(state: AdapterState, base: BaseNorms | None = None) -> AdapterReport:
    """Measure an adapter, one module at a time; no update is formed as a whole.

    Args:
        state: the adapter.
        base: its base's weights, to which updates are compared; None if they are not at hand.
    """
    spec, lora = state.spec, bool(factored(state))
    return AdapterReport(
        method=method_name(spec),
        rank=spec.rank if lora else 0,
        alpha=spec.alpha if lora else 0.0,
        dropout=spec.dropout if lora else 0.0,
        options=dict(spec.options),
        modules=tuple(_module(state, name, base) for name in factored(state)),
        others=tuple(_tensor(state, name) for name in beside_factors(state)),
        parameters=sum(tensor.numel() for tensor in state.tensors.values()),
        base_parameters=base.parameters if base else None,
    )


def _module(state: AdapterState, name: str, base: BaseNorms | None) -> ModuleReport:
    spec, update = state.spec, update_of(state, name)
    spectrum = Spectrum.of(update.decompose().values)
    weight = base.norm(name) if base else None
    outputs, inputs = update.shape
    return ModuleReport(
        name=name,
        rank=spec.rank_of(name),
        alpha=spec.alpha_pattern.get(name, spec.alpha),
        scaling=spec.scaling_of(name),
        outputs=outputs,
        inputs=inputs,
        parameters=update.up.numel() + update.down.numel(),
        norm=spectrum.norm,
        relative_norm=spectrum.norm / weight if weight else None,
        effective_rank=spectrum.effective_rank,
        stable_rank=spectrum.stable_rank,
        singular_values=spectrum.values,
    )


def _tensor(state: AdapterState, name: str) -> TensorReport:
    tensor = state.tensors[name]
    return TensorReport(name, tuple(tensor.shape), float(tensor.double().norm()))

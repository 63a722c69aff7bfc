"""How two adapters differ: the directions and sizes of their updates, and their settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lorafw.adapters.algebra.agreement import (
    Agreement,
    Products,
    products,
    without_first,
    without_second,
)
from lorafw.adapters.algebra.low_rank import update_of
from lorafw.adapters.files.safe_tensors import tensor_digest
from lorafw.adapters.layout.kinds import beside_factors, factored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.adapters.algebra.low_rank import Decomposition
    from lorafw.types import AdapterState

LEADING = 8
"""Directions whose overlap is measured, where both updates have as many."""
MODULE_LISTS = {"targets", "embeddings", "trained"}
"""Fields of a spec that name modules."""
_NEGLIGIBLE = 1e-6
"""Singular values below this share of the largest are rounding of fp32, no directions."""


@dataclass(frozen=True, slots=True)
class ModuleComparison:
    """One module that both adapt.

    Attributes:
        identical: A, B and the scaling are the same bit for bit.
        directions: how many leading directions were compared.
        input_overlap, output_overlap: share of the one's leading directions that the other's span,
            from 0 to 1 (φ of arXiv:2106.09685, section 7.2); random ones have directions / width.
    """

    name: str
    identical: bool
    agreement: Agreement
    directions: int
    input_overlap: float | None
    output_overlap: float | None


@dataclass(frozen=True, slots=True)
class TensorComparison:
    """A tensor that both have beside A and B; `difference` is relative to the first."""

    name: str
    identical: bool
    difference: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two adapters.

    Attributes:
        identical: same modules, tensors and scalings, bit for bit.
        modules: those whose update has one shape in both.
        others: tensors beside A and B that have one shape in both.
        only_first, only_second: modules and tensors that the other lacks or has in another shape.
        overall: all updates as one; a module that one lacks is zero there.
        settings: what their specs say differently: both values, by name.
    """

    identical: bool
    modules: tuple[ModuleComparison, ...]
    others: tuple[TensorComparison, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    overall: Agreement
    settings: Mapping[str, tuple[Any, Any]]


def compare(first: AdapterState, second: AdapterState) -> Comparison:
    """Compare two adapters by their factors; no update is formed as a whole."""
    one, other = _shapes(first), _shapes(second)
    both = [name for name in one if other.get(name) == one[name]]
    shared = [name for name in both if name in factored(first)]
    found = [_module(first, second, name) for name in shared]
    others = tuple(_tensor(first, second, name) for name in both if name not in shared)
    only = [tuple(name for name in shapes if name not in both) for shapes in (one, other)]
    modules = tuple(module for module, _ in found)
    alike = [module.identical for module in modules] + [other.identical for other in others]
    return Comparison(
        identical=not any(only) and all(alike),
        modules=modules,
        others=others,
        only_first=only[0],
        only_second=only[1],
        overall=_overall(first, second, {m.name: sums for m, sums in found}),
        settings=_settings(first, second),
    )


def _shapes(state: AdapterState) -> dict[str, tuple[Any, ...]]:
    """Of every module its update's shape, of every other tensor its own."""
    shapes: dict[str, tuple[Any, ...]] = {}
    for module in factored(state):
        down, up = (state.tensors[name] for name in state.spec.pair_of(module))
        shapes[module] = ("update", up.shape[0], down.shape[1])
    return shapes | {name: tuple(state.tensors[name].shape) for name in beside_factors(state)}


def _module(
    first: AdapterState, second: AdapterState, name: str
) -> tuple[ModuleComparison, Products]:
    x, y = update_of(first, name), update_of(second, name)
    sums, one, other = products(x, y), x.decompose(), y.decompose()
    directions = min(LEADING, _rank(one), _rank(other))
    compared = ModuleComparison(
        name=name,
        identical=_same_bits(first, second, name),
        agreement=sums.agreement,
        directions=directions,
        input_overlap=_overlap(one.right.T, other.right.T, directions),
        output_overlap=_overlap(one.left, other.left, directions),
    )
    return compared, sums


def _overall(
    first: AdapterState, second: AdapterState, shared: Mapping[str, Products]
) -> Agreement:
    lacking = [without_second(update_of(first, n)) for n in factored(first) if n not in shared]
    lacking += [without_first(update_of(second, n)) for n in factored(second) if n not in shared]
    return sum((*shared.values(), *lacking), start=Products()).agreement


def _rank(found: Decomposition) -> int:
    return int((found.values > _NEGLIGIBLE * found.values[0]).sum())


def _overlap(one: Tensor, other: Tensor, directions: int) -> float | None:
    """|UᵀV|² / k, of the first k columns of each."""
    if not directions:
        return None
    return float((one[:, :directions].T @ other[:, :directions]).norm() ** 2 / directions)


def _same_bits(first: AdapterState, second: AdapterState, module: str) -> bool:
    pairs = zip(first.spec.pair_of(module), second.spec.pair_of(module), strict=True)
    same = (_same_tensor(first.tensors[one], second.tensors[other]) for one, other in pairs)
    return first.spec.scaling_of(module) == second.spec.scaling_of(module) and all(same)


def _same_tensor(one: Tensor, other: Tensor) -> bool:
    return tensor_digest(one) == tensor_digest(other)


def _tensor(first: AdapterState, second: AdapterState, name: str) -> TensorComparison:
    one, other = first.tensors[name].double(), second.tensors[name].double()
    size = float(one.norm())
    return TensorComparison(
        name=name,
        identical=_same_tensor(first.tensors[name], second.tensors[name]),
        difference=float((one - other).norm()) / size if size else None,
    )


def _settings(first: AdapterState, second: AdapterState) -> dict[str, tuple[Any, Any]]:
    """Differing values, but the modules themselves, which are told apart from this."""
    one, other = asdict(first.spec), asdict(second.spec)
    lora = factored(first) and factored(second)
    names = [name for name in one if name not in MODULE_LISTS] if lora else ["method", "options"]
    return {name: (one[name], other[name]) for name in names if one[name] != other[name]}

"""One adapter out of several: the weighted sum of their updates, or a thinned form of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lorafw.adapters.algebra.combinable import Part, check_parts, sides_of
from lorafw.adapters.algebra.low_rank import LowRank, update_of, weighted_sum
from lorafw.adapters.algebra.ranks import with_patterns
from lorafw.adapters.algebra.sparse_merging import agreeing_mean, dropped, total, trimmed
from lorafw.adapters.algebra.truncation import nearest_of_rank
from lorafw.adapters.files.safe_tensors import tensor_digest
from lorafw.contracts._adapter_values import named_generator
from lorafw.errors import UsageError
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Method(StrEnum):
    """How updates become one."""

    LINEAR = "linear"
    SVD = "svd"
    TIES = "ties"
    DARE_LINEAR = "dare-linear"
    DARE_TIES = "dare-ties"

    @property
    def dense(self) -> bool:
        """Whether the update of a module is formed whole."""
        return self not in {Method.LINEAR, Method.SVD}


@dataclass(frozen=True, slots=True)
class Way:
    """How adapters are combined.

    Attributes:
        method: see `combine`.
        rank: of the result; None for the sum of the ranks (linear) or the highest of them.
        density: share of each update's numbers that TIES and DARE keep.
        seed: of the numbers that DARE drops.
    """

    method: Method = Method.LINEAR
    rank: int | None = None
    density: float = 0.5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CombinedModule:
    """What became of one module; `error` is relative to the update before its rank was cut."""

    name: str
    rank: int
    error: float


@dataclass(frozen=True, slots=True)
class Combined:
    """The combined adapter, and what its rank cost, module by module."""

    state: AdapterState
    modules: tuple[CombinedModule, ...]


def combine(parts: Sequence[Part], way: Way) -> Combined:
    """Combine adapters of one base; one module is in memory as a whole at a time.

    With ΔW the update of an adapter, its scaling included, and w its weight:

    * `linear`: Σ w·ΔW, exactly: the factors are laid side by side, so ranks add up.
    * `svd`: the same, cut to the highest of the ranks.
    * `ties`: of each w·ΔW the largest numbers, then their mean where they agree in sign with the
      sum (arXiv:2306.01708); trimmed per module.
    * `dare-linear`: numbers of each ΔW are dropped at random, then Σ w·ΔW (arXiv:2311.03099).
      Which are dropped follows from seed, module and the factors themselves, not from the order.
    * `dare-ties`: dropped in the same way, then TIES' mean of those that agree in sign.

    A module that an adapter lacks counts as zero. The result's scalings are 1.

    Raises:
        AdapterError: the adapters do not fit together.
        UsageError: a rank, weight or density is out of range.
    """
    _check_way(way)
    check_parts(parts)
    updates, modules = {}, []
    for module in dict.fromkeys(name for part in parts for name in part.state.spec.targets):
        update, error = _combined(module, parts, way)
        updates[module] = update
        modules.append(CombinedModule(module, update.down.shape[0], error))
    spec = _spec(parts, {done.name: done.rank for done in modules})
    factors = {
        name: tensor.float().contiguous()
        for module, update in updates.items()
        for name, tensor in zip(spec.pair_of(module), (update.down, update.up), strict=True)
    }
    return Combined(AdapterState(spec, {**factors, **sides_of(parts)}), tuple(modules))


def _check_way(way: Way) -> None:
    if way.rank is not None and way.rank < 1:
        raise UsageError(f"rank {way.rank} is below 1.")
    if not 0 < way.density <= 1:
        raise UsageError(f"density {way.density} is not above 0 and at most 1.")


def _combined(module: str, parts: Sequence[Part], way: Way) -> tuple[LowRank, float]:
    holders = [part for part in parts if module in part.state.spec.targets]
    highest = max(part.state.spec.rank_of(module) for part in holders)
    if way.method.dense:
        mixed = _mixed(module, holders, way)
        return nearest_of_rank(mixed, way.rank or highest, named_generator(module, way.seed))
    updates = [update_of(part.state, module) for part in holders]
    whole = weighted_sum(updates, [part.weight for part in holders])
    rank = way.rank or (highest if way.method is Method.SVD else len(whole.down))
    if rank >= len(whole.down):
        return whole, 0.0
    found = whole.decompose()
    return found.cut(rank), found.error_at(rank)


def _mixed(module: str, holders: Sequence[Part], way: Way) -> Tensor:
    thinned = [part.weight * _thinned(module, part.state, way) for part in holders]
    return total(thinned) if way.method is Method.DARE_LINEAR else agreeing_mean(thinned)


def _thinned(module: str, state: AdapterState, way: Way) -> Tensor:
    update = update_of(state, module)
    if way.method is Method.TIES:
        return trimmed(update.dense(), way.density)
    content = "/".join(tensor_digest(state.tensors[name]) for name in state.spec.pair_of(module))
    return dropped(update.dense(), way.density, named_generator(f"{module}/{content}", way.seed))


def _spec(parts: Sequence[Part], ranks: Mapping[str, int]) -> AdapterSpec:
    specs = [part.state.spec for part in parts]
    dropouts = {spec.dropout for spec in specs}
    embeddings = {name for spec in specs for name in spec.embeddings}
    spec = AdapterSpec(
        rank=1,
        alpha=1,
        targets=tuple(ranks),
        dropout=dropouts.pop() if len(dropouts) == 1 else 0.0,
        trained=specs[0].trained,
        embeddings=tuple(name for name in ranks if name in embeddings),
        token_rows=specs[0].token_rows,
        biases=specs[0].biases,
    )
    return with_patterns(spec, ranks, {module: float(rank) for module, rank in ranks.items()})

"""Adapters of a lower rank: the nearest update that the rank allows, module by module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.adapters.algebra.low_rank import factors_of
from lorafw.adapters.algebra.ranks import with_ranks
from lorafw.adapters.algebra.spectrum import Spectrum
from lorafw.adapters.layout.kinds import refuse_other_methods
from lorafw.errors import UsageError
from lorafw.types import AdapterState

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from lorafw.adapters.algebra.low_rank import Decomposition

    Choice = Callable[[Decomposition], int]


@dataclass(frozen=True, slots=True)
class ResizedModule:
    """What became of one module.

    Attributes:
        before, after: its ranks.
        error: relative Frobenius error of its update.
    """

    name: str
    before: int
    after: int
    error: float


@dataclass(frozen=True, slots=True)
class Resized:
    """An adapter of other ranks, and what that cost."""

    state: AdapterState
    modules: tuple[ResizedModule, ...]


def resize_to_rank(state: AdapterState, rank: int) -> Resized:
    """Cut every module of a higher rank down to `rank`; others stay bit for bit.

    Scalings stay, and so do the magnitudes of DoRA and whatever is trained beside the factors.
    Ranks never grow: zeros in the factors would add to the file and to nothing else.

    Raises:
        AdapterError: the adapter is of another method than LoRA.
        UsageError: the rank is below one, or above all there are.
    """
    refuse_other_methods(state)
    if rank < 1:
        raise UsageError(f"rank {rank} is below 1.")
    highest = max(map(state.spec.rank_of, state.spec.targets))
    if rank > highest:
        mend = "A higher rank would hold zeros and nothing else."
        raise UsageError(f"rank {rank} is above the adapter's own, {highest}.", mend=mend)
    return _resized(state, lambda _: rank)


def resize_to_energy(state: AdapterState, energy: float) -> Resized:
    """Cut every module to the least rank that keeps a share of its squared Frobenius norm.

    Raises:
        AdapterError: the adapter is of another method than LoRA.
        UsageError: the share is not above 0 and at most 1.
    """
    refuse_other_methods(state)
    if not 0 < energy <= 1:
        raise UsageError(f"energy {energy} is not above 0 and at most 1.")
    return _resized(state, lambda found: Spectrum.of(found.values).rank_for(energy))


def _resized(state: AdapterState, choose: Choice) -> Resized:
    tensors: dict[str, Tensor] = dict(state.tensors)
    modules = []
    for module in state.spec.targets:
        done, factors = _resize(state, module, choose)
        modules.append(done)
        tensors |= factors
    spec = with_ranks(state.spec, {done.name: done.after for done in modules})
    return Resized(AdapterState(spec, tensors), tuple(modules))


def _resize(
    state: AdapterState, module: str, choose: Choice
) -> tuple[ResizedModule, dict[str, Tensor]]:
    """What became of a module, and its new A and B; none where it stays as it is."""
    before, found = state.spec.rank_of(module), factors_of(state, module).decompose()
    after = min(choose(found), len(found.values))
    if after >= before:
        return ResizedModule(module, before, before, 0.0), {}
    cut = found.cut(after)
    down, up = state.spec.pair_of(module)
    factors = {down: cut.down.float(), up: cut.up.float()}
    return ResizedModule(module, before, after, found.error_at(after)), factors

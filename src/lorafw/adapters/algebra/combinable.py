"""Whether adapters can be combined, and what becomes of all that is no factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorafw.adapters.files.safe_tensors import tensor_digest
from lorafw.adapters.layout.kinds import beside_factors, refuse_other_methods
from lorafw.errors import AdapterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from lorafw.types import AdapterState


@dataclass(frozen=True, slots=True)
class Part:
    """An adapter to be combined.

    Attributes:
        name: what errors call it.
        state: the adapter.
        weight: the factor on its update.
    """

    name: str
    state: AdapterState
    weight: float = 1.0


def check_parts(parts: Sequence[Part]) -> None:
    """Refuse adapters whose updates have no meaningful sum.

    Raises:
        AdapterError: one is no LoRA or rsLoRA, or two disagree about a module's shape or about
            what is trained beside the factors.
        UsageError: there is none, or a weight is no number.
    """
    if not parts:
        raise UsageError("there is no adapter to combine.")
    for part in parts:
        _check_alone(part)
        _check_shapes(parts[0], part)
        _check_sides(parts[0], part)


def sides_of(parts: Sequence[Part]) -> dict[str, Tensor]:
    """Trained modules and token rows of the combination.

    Where all adapters have the same, they stay. Else they are averaged by weight, which is exact
    only if the weights add up to 1: W + Σ w·(Wᵢ - W) = Σ w·Wᵢ for any W of the base.

    Raises:
        AdapterError: they differ and the weights do not add up to 1.
    """
    found = {}
    for name in beside_factors(parts[0].state):
        values = [part.state.tensors[name] for part in parts]
        if len({tensor_digest(value) for value in values}) == 1:
            found[name] = values[0]
        else:
            found[name] = _average(name, values, [part.weight for part in parts])
    return found


def _average(name: str, values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    if not math.isclose(sum(weights), 1, abs_tol=1e-6):
        fault = f"the adapters differ in {name}, which replaces what the base has there."
        mend = "Such parts can only be averaged: choose weights that add up to 1."
        raise AdapterError(fault, mend=mend)
    pairs = zip(values, weights, strict=True)
    return sum((value.double() * weight for value, weight in pairs), start=0.0 * values[0]).float()


def _check_alone(part: Part) -> None:
    refuse_other_methods(part.state, part.name)
    if part.state.spec.use_dora:
        fault = "is a DoRA adapter, whose update depends on the base's weights as well."
        raise AdapterError(fault, where=part.name, mend="Merge such adapters one by one instead.")
    if not math.isfinite(part.weight):
        raise UsageError(f"weight {part.weight} is no number.", where=part.name)


def _check_shapes(first: Part, part: Part) -> None:
    """Modules that both have must be of one shape, as PEFT's names for embeddings tell it."""
    one, other = first.state, part.state
    for module in set(one.spec.targets) & set(other.spec.targets):
        shapes = [_shape(state, module) for state in (one, other)]
        if shapes[0] != shapes[1]:
            fault = f"{module} maps {shapes[1]}, but {shapes[0]} in {first.name}."
            raise AdapterError(fault, where=part.name, mend="They are of different bases.")


def _shape(state: AdapterState, module: str) -> str:
    down, up = (state.tensors[name] for name in state.spec.pair_of(module))
    kind = "tokens" if module in state.spec.embeddings else "features"
    return f"{down.shape[1]} {kind} to {up.shape[0]}"


def _check_sides(first: Part, part: Part) -> None:
    one, other = (
        (spec.trained, spec.token_rows, spec.biases) for spec in (first.state.spec, part.state.spec)
    )
    names = [{n: p.state.tensors[n].shape for n in beside_factors(p.state)} for p in (first, part)]
    if one != other or names[0] != names[1]:
        fault = f"trains other modules or token rows beside its factors than {first.name}."
        mend = "What an adapter lacks would have to be taken from the base; merge it instead."
        raise AdapterError(fault, where=part.name, mend=mend)

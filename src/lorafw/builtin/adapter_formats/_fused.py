"""Whether weights that lie beside an adapter are the base's, or have its update folded in."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import torch

from lorafw.adapters.conversion.base_weights import base_weights
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts.adapter_format import AdapterBase
    from lorafw.types import AdapterState

_NEAR = 0.02
"""Share of an update that may be lost to rounding, with which it is still told from none."""


class _Weights(Enum):
    BASE, FUSED, OTHER = range(3)


def check_weights(
    state: AdapterState, stored: Mapping[str, Tensor], base: AdapterBase, path: Path
) -> None:
    """Refuse weights that are neither the base's nor the base's with this update.

    Raises:
        AdapterError: they are not; or there are weights, and the base is not known.
    """
    beside = _beside(state, stored)
    if beside and base.builder is None:
        raise AdapterError(
            "holds weights beside LoRA, which may have the update in them already.",
            where=str(path),
            mend="Say which base it was trained on: --base PATH",
        )
    for module, weight in _compared(beside, base):
        found, update = stored[f"{module}.weight"], _update(state, module)
        for what, tensor in (("weight", found), ("update", update)):
            if tensor.shape != weight.shape:
                fault = f"the {what} of {module} is {list(tensor.shape)} here,"
                fault += f" its weight {list(weight.shape)} in the base."
                raise AdapterError(fault, where=str(path), mend="Is it another base's adapter?")
        if _kind(found, weight, update) is _Weights.OTHER:
            raise _neither(module, found.double() - weight.double(), update, state, path)


def is_fused(state: AdapterState, stored: Mapping[str, Tensor], base: AdapterBase) -> bool:
    """Whether the weight of any adapted module has the update folded in."""
    return any(
        _kind(stored[f"{module}.weight"], weight, _update(state, module)) is _Weights.FUSED
        for module, weight in _compared(_beside(state, stored), base)
    )


def _beside(state: AdapterState, stored: Mapping[str, Tensor]) -> list[str]:
    return [module for module in state.spec.targets if f"{module}.weight" in stored]


def _compared(modules: list[str], base: AdapterBase) -> Iterator[tuple[str, Tensor]]:
    if modules:
        builder = base.needed("tell whether weights are fused")
        for name, weight in base_weights(builder, [f"{module}.weight" for module in modules]):
            yield name.removesuffix(".weight"), weight


def _update(state: AdapterState, module: str) -> Tensor:
    down, up = (state.tensors[name].double() for name in state.spec.pair_of(module))
    return state.spec.scaling_of(module) * up @ down


def _kind(found: Tensor, weight: Tensor, update: Tensor) -> _Weights:
    """What the file's weight is; rounding to either's dtype is allowed for."""
    difference = found.double() - weight.double()
    apart, fused = float(difference.norm()), float((difference - update).norm())
    steps = max(torch.finfo(t.dtype).eps for t in (found, weight))
    most = max(_NEAR * float(update.norm()), steps * float(weight.double().norm()))
    if min(apart, fused) > most:
        return _Weights.OTHER
    return _Weights.BASE if apart <= fused else _Weights.FUSED


def _neither(
    module: str, difference: Tensor, update: Tensor, state: AdapterState, path: Path
) -> AdapterError:
    """The error for a weight of another base, or one with the update at another scaling."""
    factor = float((difference * update).sum() / update.square().sum().clamp_min(1e-300))
    if (difference - factor * update).norm() > _NEAR * difference.norm():
        fault = f"{module}.weight is neither the base's nor the base's with the update."
        return AdapterError(fault, where=str(path), mend="Was it trained on another base?")
    scaling = state.spec.alpha_pattern.get(module, state.spec.alpha) * factor
    fault = f"{module}.weight has the update folded in {factor:.4g} times as strong."
    mend = f"Then the layer was made with lora_scaling={scaling:.4g}: set that option."
    return AdapterError(fault, where=str(path), mend=mend)

"""Whether an adapter can change anything at all, as far as its tensors tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lorafw.types import AdapterState


def can_act(state: AdapterState, base: Mapping[str, Tensor] | None = None) -> bool:
    """Whether an adapter may have an effect; False only where it surely has none.

    LoRA acts by a B that is not zero, or by a part of the base that was trained itself. What
    DoRA's magnitudes do, and other methods' tensors, cannot be told without the base's weights.

    Args:
        state: the adapter.
        base: what the parts trained themselves are in the base, by canonical name; without it
            they count as changed.
    """
    spec = state.spec
    if spec.method != "LORA" or spec.use_dora:
        return True
    ups = [state.tensors[spec.pair_of(module)[1]] for module in spec.targets]
    if any(up.any() for up in ups):
        return True
    factors = {name for module in spec.targets for name in spec.names_of(module)}
    parts = state.tensors.keys() - factors
    return any(base is None or _differs(state.tensors[name], base.get(name)) for name in parts)


def _differs(value: Tensor, start: Tensor | None) -> bool:
    return start is None or not value.equal(start.detach().cpu().to(value.dtype))

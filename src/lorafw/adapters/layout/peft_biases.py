"""Trained biases in PEFT's files, where an adapted module's own layer lies one level deeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.layout.peft_names import PREFIX, natural_order, saved_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lorafw.types import AdapterSpec

_BIAS = ".bias"
_INSIDE = ".base_layer.bias"


def stored_biases(tensors: Mapping[str, Tensor], spec: AdapterSpec) -> dict[str, Tensor]:
    """Canonical names as PEFT has them: `X.base_layer.bias` where X is adapted as well."""
    deeper = {f"{n}{_BIAS}": f"{n}{_INSIDE}" for n in spec.biases if n in spec.targets}
    return {deeper.get(name, name): tensor for name, tensor in tensors.items()}


def bias_kind(spec: AdapterSpec) -> str:
    """What PEFT calls this choice of biases; what it calls `all` may be fewer."""
    if not spec.biases:
        return "none"
    return "lora_only" if set(spec.biases) <= set(spec.targets) else "all"


def taken_biases(
    stored: Mapping[str, Tensor], saved: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of a LoRA file apart from biases, and these by canonical name.

    Args:
        stored: by the file's names.
        saved: what `modules_to_save` lists; the biases of such modules stay with them.
    """
    names = [
        name
        for name in sorted(stored, key=natural_order)
        if name.startswith(PREFIX) and name.endswith(_BIAS)
        if not (saved and saved_module(name.removeprefix(PREFIX), saved))
    ]
    rest = {name: tensor for name, tensor in stored.items() if name not in names}
    return rest, {_canonical(name): stored[name] for name in names}


def _canonical(name: str) -> str:
    module = name.removeprefix(PREFIX).removesuffix(_BIAS)
    return module.removesuffix(".base_layer") + _BIAS

"""Which adapters hold updates of the form s·B·A, and what is in an adapter beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.adapters.layout.peft_names import natural_order
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from lorafw.types import AdapterSpec, AdapterState

LORA = "LORA"
"""PEFT's name of LoRA and its forms."""


def method_name(spec: AdapterSpec) -> str:
    """What papers call the method, where it is a form of LoRA; else PEFT's name."""
    if spec.method != LORA:
        return spec.method
    forms = ["DoRA"] * spec.use_dora + ["rsLoRA"] * spec.use_rslora
    return " + ".join(forms) or "LoRA"


def factored(state: AdapterState) -> tuple[str, ...]:
    """The modules whose update is s·B·A."""
    return state.spec.targets if state.spec.method == LORA else ()


def beside_factors(state: AdapterState) -> tuple[str, ...]:
    """Names of the tensors that are no A and no B: magnitudes, heads, token rows."""
    if not factored(state):
        return tuple(sorted(state.tensors, key=natural_order))
    pairs = {name for module in factored(state) for name in state.spec.pair_of(module)}
    return tuple(name for name in state.tensors if name not in pairs)


def refuse_other_methods(state: AdapterState, where: str = "") -> None:
    """Refuse what has no A and B whose product is the update.

    Args:
        state: the adapter.
        where: what the error calls it.

    Raises:
        AdapterError: the method is not LoRA, or no module has factors.
    """
    if not factored(state):
        fault = f"holds no factors A and B; its method is {method_name(state.spec)}."
        raise AdapterError(fault, where=where or "the adapter")

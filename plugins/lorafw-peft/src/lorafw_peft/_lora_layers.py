"""PEFT's LoRA layers: putting them into a model, and finding their parameters."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer

from lorafw.errors import AdapterError
from lorafw.models.names import stores_transposed
from lorafw_peft._experts import is_wrapper, parameter_name, refuse_partitioned

if TYPE_CHECKING:
    from torch import nn

    from lorafw.types import AdapterSpec

NAME = "default"
"""PEFT's name for the one adapter; it is part of PEFT's parameter names only."""


def inject_lora(module: nn.Module, spec: AdapterSpec) -> dict[str, Any]:
    """Adapt in place; PEFT's layers by module name, in the order of the spec.

    Raises:
        AdapterError: PEFT adapted other modules than `spec` names, or cannot adapt one.
    """
    if spec.use_dora:
        _refuse_8_bits_on_cpu(module, spec)
    with warnings.catch_warnings():
        # PEFT 0.21 applies patterns to parameters, yet says that they match no module.
        unfounded = ".*did not match any targeted module" if spec.parameters else "^$"
        warnings.filterwarnings("ignore", unfounded, RuntimeWarning)
        inject_adapter_in_model(lora_config(module, spec), module, adapter_name=NAME)
    found = [(name, m) for name, m in module.named_modules() if isinstance(m, LoraLayer)]
    layers = {parameter_name(n, m) if is_wrapper(m) else n: m for n, m in found}
    for layer in filter(is_wrapper, layers.values()):
        layer.register_forward_pre_hook(refuse_partitioned)
    if layers.keys() != set(spec.targets):
        odd = ", ".join(sorted(layers.keys() ^ set(spec.targets))[:4])
        raise AdapterError(f"PEFT and lorafw do not agree on these modules: {odd}.")
    return {name: layers[name] for name in spec.targets}


def _refuse_8_bits_on_cpu(module: nn.Module, spec: AdapterSpec) -> None:
    """PEFT 0.21 reads an 8-bit weight for DoRA in a way that loses its scale on the CPU."""
    for name in spec.targets:
        weight: Any = module.get_submodule(name).weight
        if type(weight).__name__ == "Int8Params" and weight.device.type == "cpu":
            mend = "Take model.quantize: nf4, or injector: custom."
            raise AdapterError("PEFT cannot make DoRA on int8 weights on the CPU.", mend=mend)


def lora_config(module: nn.Module, spec: AdapterSpec) -> LoraConfig:
    """What PEFT must be told to make this adapter in this model."""
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        use_rslora=spec.use_rslora,
        use_dora=spec.use_dora,
        target_modules=[name for name in spec.targets if name not in spec.parameters],
        target_parameters=list(spec.parameters) or None,
        rank_pattern={_anchored(name): rank for name, rank in spec.rank_pattern.items()},
        alpha_pattern={_anchored(name): alpha for name, alpha in spec.alpha_pattern.items()},
        bias="none",
        fan_in_fan_out=any(map(stores_transposed, module.modules())),
        task_type="CAUSAL_LM",
    )


def factors_of(layer: Any, name: str = NAME) -> tuple[nn.Parameter, nn.Parameter]:
    """A and B of one of a layer's adapters; of an embedding, PEFT keeps them elsewhere."""
    if name in layer.lora_embedding_A:
        return layer.lora_embedding_A[name], layer.lora_embedding_B[name]
    return layer.lora_A[name].weight, layer.lora_B[name].weight


def magnitude_of(layer: Any) -> nn.Parameter:
    """DoRA's length of every output's weight row, [out]."""
    found: nn.Parameter = layer.lora_magnitude_vector[NAME].weight
    return found


def _anchored(name: str) -> str:
    """A key that PEFT, which takes keys for regular expressions, matches to one module only."""
    return f"^{re.escape(name)}"

"""PEFT's layers around experts that are one tensor (`target_parameters`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft.tuners.lora.layer import ParamWrapper

from lorafw.adapters.live.expert_factors import merged_experts
from lorafw.errors import AdapterError
from lorafw.models.experts import ExpertSizes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


def is_wrapper(layer: Any) -> bool:
    """Whether a layer adapts a parameter of the module in it, rather than the module."""
    return isinstance(layer, ParamWrapper)


def parameter_name(module: str, layer: nn.Module) -> str:
    """The base's full name of what a wrapper adapts: one lies in another, a level deeper each.

    Args:
        module: the wrapper's own full name.
        layer: the wrapper.
    """
    owner = module
    while owner.endswith(".base_layer"):
        owner = owner.removesuffix(".base_layer")
    return f"{owner}.{layer.parameter_name}"


def refuse_partitioned(layer: nn.Module, _: object) -> None:
    """What a wrapper does before each forward pass: under ZeRO-3, PEFT's ranks part ways.

    Raises:
        AdapterError: its parameters are partitioned.
    """
    if any(hasattr(parameter, "ds_id") for parameter in layer.parameters()):
        raise AdapterError(
            "PEFT cannot adapt experts in one tensor while ZeRO-3 partitions them.",
            where="injector.target_modules",
            mend="Use injector: custom, or a zero_stage below 3.",
        )


def merged_parameter(layer: Any, name: str) -> Tensor:
    """The parameter with its update in it, formed in fp32 and rounded once to its dtype.

    Args:
        layer: PEFT's wrapper.
        name: of its one adapter.
    """
    weight, turned = layer.get_param(), bool(getattr(layer.get_base_layer(), "is_transposed", 0))
    sizes = ExpertSizes(layer.num_experts, layer.in_features, layer.out_features, turned)
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return merged_experts(weight, a, b, layer.scaling[name], sizes)


def wrapped_modules(layers: Iterable[tuple[str, Any]]) -> dict[str, nn.Module]:
    """The base's own modules that have adapted parameters, by full name."""
    return {
        name.rpartition(".")[0]: layer.get_base_layer()
        for name, layer in layers
        if is_wrapper(layer)
    }

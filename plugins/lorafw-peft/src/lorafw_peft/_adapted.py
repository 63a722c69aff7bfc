"""A base model with PEFT's LoRA layers in it."""

from __future__ import annotations

import functools
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from lorafw.adapters.base_tensors import merged_tensors, refuse_quantised, tensor_of
from lorafw.adapters.trained_parts import TrainedParts
from lorafw.contracts import AdaptedModel
from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names, stores_transposed
from lorafw.types import canonical_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec

# PEFT imports bitsandbytes where it is installed, which then complains of kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from peft import LoraConfig, inject_adapter_in_model  # noqa: E402
from peft.tuners.lora import LoraLayer  # noqa: E402

_NAME = "default"
"""PEFT's name for the one adapter; it is part of PEFT's parameter names only."""


class PeftAdaptedModel(AdaptedModel):
    """The bundle's module after `peft.inject_adapter_in_model`.

    Raises:
        AdapterError: PEFT adapted other modules than `spec` names.
    """

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec) -> None:
        self.bundle, self.spec = bundle, spec
        self._base_names = checkpoint_names(bundle.module)
        self._layers = _inject(bundle.module, spec)
        self._trained = TrainedParts(bundle.module, spec)
        self._parameters = dict(_parameters(self._layers)) | self._trained.parameters
        self.train(mode=False)
        self.reset(seed=0)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """PEFT's A and B under canonical names, module by module; then trained modules."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the trained modules are in the base."""
        return self._trained.base_values()

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout; the base stays in eval."""
        for layer in self._layers.values():
            layer.lora_dropout.train(mode)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every layer computes what the base's alone computes."""
        layers = [layer for layer in self._layers.values() if not layer.disable_adapters]
        for layer in layers:
            layer.enable_adapters(enabled=False)
        try:
            with self._trained.disabled():
                yield
        finally:
            for layer in layers:
                layer.enable_adapters(enabled=True)

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time.

        Raises:
            AdapterError: the base is quantised.
        """
        refuse_quantised(self.bundle.module)
        merged = {
            f"{module}.weight": functools.partial(_merged_weight, layer)
            for module, layer in self._layers.items()
        }
        merged |= self._trained.merged()
        return merged_tensors(self._base_names, self._stored, merged)

    def _stored(self, name: str) -> Tensor:
        """PEFT keeps the base layer one level deeper than the base did."""
        owner, _, attribute = name.rpartition(".")
        inside = f"{owner}.base_layer.{attribute}" if owner in self._layers else name
        return tensor_of(self.bundle.module, inside)


def _inject(module: nn.Module, spec: AdapterSpec) -> dict[str, Any]:
    """Adapt in place; PEFT's layers by module name, in the order of the spec."""
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        use_rslora=spec.use_rslora,
        target_modules=list(spec.targets),
        rank_pattern={_anchored(name): rank for name, rank in spec.rank_pattern.items()},
        alpha_pattern={_anchored(name): alpha for name, alpha in spec.alpha_pattern.items()},
        bias="none",
        fan_in_fan_out=any(map(stores_transposed, module.modules())),
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(config, module, adapter_name=_NAME)
    layers = {name: m for name, m in module.named_modules() if isinstance(m, LoraLayer)}
    if layers.keys() != set(spec.targets):
        odd = ", ".join(sorted(layers.keys() ^ set(spec.targets))[:4])
        raise AdapterError(f"PEFT and lorafw do not agree on these modules: {odd}.")
    return {name: layers[name] for name in spec.targets}


def _anchored(name: str) -> str:
    """A key that PEFT, which takes keys for regular expressions, matches to one module only."""
    return f"^{re.escape(name)}"


def _parameters(layers: Mapping[str, Any]) -> Iterator[tuple[str, nn.Parameter]]:
    """A and B of every layer, fp32: PEFT makes them in the dtype of the base."""
    for module, layer in layers.items():
        pair = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight
        for name, parameter in zip(canonical_pair(module), pair, strict=True):
            parameter.data = parameter.data.float()
            yield name, parameter


@torch.no_grad()
def _merged_weight(layer: Any) -> Tensor:
    """W + scaling · B·A of shape [out, in], formed in fp32 and rounded once to the dtype of W."""
    weight: Tensor = layer.base_layer.weight
    wide = torch.promote_types(weight.dtype, torch.float32)
    update: Tensor = layer.get_delta_weight(_NAME)
    return (weight.to(wide) + update).to(weight.dtype)

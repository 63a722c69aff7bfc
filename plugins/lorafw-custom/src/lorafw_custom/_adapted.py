"""A base model whose target layers are replaced by lorafw's own."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from lorafw.adapters.base_tensors import merged_tensors, refuse_quantised, tensor_of
from lorafw.adapters.trained_parts import TrainedParts
from lorafw.contracts import AdaptedModel
from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names, is_linear
from lorafw.types import canonical_pair
from lorafw_custom._linear import LoRALinear
from lorafw_custom._over_layer import LoRAOverLayer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec


class CustomAdaptedModel(AdaptedModel):
    """The bundle's module with each target replaced once; base tensors keep their names.

    Raises:
        AdapterError: a target is no linear layer, or is quantised in a way not known here.
    """

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec) -> None:
        self.bundle, self.spec = bundle, spec
        self._base_names = checkpoint_names(bundle.module)
        made = {
            name: _adapted(bundle.module.get_submodule(name), name, spec) for name in spec.targets
        }
        bundle.module.requires_grad_(False)
        for name, layer in made.items():
            bundle.module.set_submodule(name, layer)
        self._layers = made
        self._trained = TrainedParts(bundle.module, spec)
        self._parameters = dict(_parameters(made)) | self._trained.parameters
        self.train(mode=False)
        self.reset(seed=0)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """A and B of every layer under canonical names, module by module; then trained modules."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the trained modules are in the base."""
        return self._trained.base_values()

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout; the base stays in eval."""
        for layer in self._layers.values():
            layer.train(mode)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every layer computes what the base's alone computes."""
        layers = [layer for layer in self._layers.values() if layer.enabled]
        for layer in layers:
            layer.enabled = False
        try:
            with self._trained.disabled():
                yield
        finally:
            for layer in layers:
                layer.enabled = True

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time.

        Raises:
            AdapterError: the base is quantised.
        """
        refuse_quantised(self.bundle.module)
        merged = {f"{name}.weight": layer.merged_weight for name, layer in self._layers.items()}
        merged |= self._trained.merged()
        return merged_tensors(self._base_names, partial(tensor_of, self.bundle.module), merged)


def _adapted(linear: Any, name: str, spec: AdapterSpec) -> LoRALinear | LoRAOverLayer:
    if not is_linear(linear):
        raise AdapterError(f"{name} is a {type(linear).__name__}, not a linear layer.")
    kind = LoRALinear if type(linear) is nn.Linear else LoRAOverLayer
    scaling = spec.scaling_of(name)
    try:
        return kind(linear, rank=spec.rank_of(name), scaling=scaling, dropout=spec.dropout)
    except TypeError as error:
        raise AdapterError(f"{name} cannot be adapted: {error}.") from None


def _parameters(
    layers: Mapping[str, LoRALinear | LoRAOverLayer],
) -> Iterator[tuple[str, nn.Parameter]]:
    for module, layer in layers.items():
        yield from zip(canonical_pair(module), (layer.lora_A, layer.lora_B), strict=True)

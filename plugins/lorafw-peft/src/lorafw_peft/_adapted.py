"""A base model with PEFT's LoRA layers in it."""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lorafw.adapters.base_tensors import merged_numbers, merged_tensors, tensor_of
from lorafw.adapters.trained_parts import TrainedParts
from lorafw.contracts import AdaptedModel
from lorafw.contracts._adapter_values import copy_values, fresh_values, named_generator
from lorafw.models.names import checkpoint_names
from lorafw_peft._layers import merged, switched_off

# PEFT imports bitsandbytes where it is installed, which then complains of kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from lorafw_peft._lora_layers import factors_of, inject_lora, magnitude_of  # noqa: E402
from lorafw_peft._starts import base_weight, start_pair  # noqa: E402
from lorafw_peft._subtracted import SubtractedStart  # noqa: E402
from lorafw_peft.starts import KAIMING, moves_output  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec, AdapterState


class PeftAdaptedModel(AdaptedModel):
    """The bundle's module after `peft.inject_adapter_in_model`.

    Args:
        bundle: the base; its module is changed in place.
        spec: which modules, ranks and factors.
        start: where the factors begin; see `lorafw_peft.starts`.
        lora_plus_ratio: how many times as fast as A B learns.

    Raises:
        AdapterError: PEFT adapted other modules than `spec` names.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        spec: AdapterSpec,
        *,
        start: str = KAIMING,
        lora_plus_ratio: float = 1.0,
    ) -> None:
        self.bundle, self.spec = bundle, spec
        self._start, self._ratio = start, lora_plus_ratio
        self._base_names = checkpoint_names(bundle.module)
        self._layers = inject_lora(bundle.module, spec)
        self._subtracted = SubtractedStart(self._layers, spec) if moves_output(start) else None
        self._trained = TrainedParts(bundle.module, spec)
        self._factors = dict(_parameters(self._layers, spec))
        self._parameters = self._factors | self._trained.parameters
        self.train(mode=False)
        self.reset(seed=0)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """PEFT's A, B and magnitudes under canonical names, module by module; then the rest."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What trained modules are in the base, and DoRA's magnitudes: its rows' lengths."""
        lengths = {
            name: base_weight(layer).norm(dim=1)
            for module, layer in self._layers.items()
            for name in self.spec.names_of(module)[2:]
        }
        return {**lengths, **self._trained.base_values()}

    def reset(self, seed: int) -> None:
        """Fresh values by the start's rule; what a start adds to the output is subtracted again."""
        values = fresh_values(self._factors, seed)
        if self._start != KAIMING:
            for module, layer in self._layers.items():
                down, up = self.spec.pair_of(module)
                values[down], values[up] = self._start_pair(layer, module, seed)
        self.load_state({**values, **self.base_values()})
        if self._subtracted is not None:
            copy_values(self._subtracted.factors, values)

    def state(self) -> AdapterState:
        """A copy of the adapter; a start that is subtracted makes it LoRA of twice the rank."""
        state = super().state()
        return state if self._subtracted is None else self._subtracted.as_plain_lora(state)

    def training_state(self) -> Mapping[str, Tensor]:
        """The factors that are subtracted: a resumed run does not decompose the base again."""
        factors = self._subtracted.factors if self._subtracted is not None else {}
        return {name: factor.detach().cpu().clone() for name, factor in factors.items()}

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Subtract what the checkpoint's run did."""
        if self._subtracted is None:
            super().load_training_state(tensors)
        else:
            copy_values(self._subtracted.factors, tensors)

    def learning_rate_scales(self) -> Mapping[str, float]:
        """LoRA+: B learns faster than A."""
        if self._ratio == 1:
            return {}
        return {self.spec.pair_of(module)[1]: self._ratio for module in self._layers}

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout; the base stays in eval."""
        for layer in self._layers.values():
            layer.lora_dropout.train(mode)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every layer computes what the base's alone computes."""
        with switched_off(self._layers.values()), self._trained.disabled():
            yield

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time."""
        weights: dict[str, Callable[[], Tensor]] = {
            f"{module}.weight": functools.partial(merged, layer, "weight")
            for module, layer in self._layers.items()
        }
        base_layers = {name: layer.get_base_layer() for name, layer in self._layers.items()}
        weights |= merged_numbers(base_layers, self.state)
        weights |= self._trained.merged()
        return merged_tensors(self._base_names, self._stored, weights)

    def _start_pair(self, layer: Any, module: str, seed: int) -> tuple[Tensor, Tensor]:
        generator = named_generator(self.spec.pair_of(module)[0], seed)
        rank, scaling = self.spec.rank_of(module), self.spec.scaling_of(module)
        return start_pair(self._start, layer, rank, scaling, generator)

    def base_tensor(self, name: str) -> Tensor:
        """The live tensor of a base name; PEFT keeps the base layer one level deeper."""
        owner, _, attribute = name.rpartition(".")
        layer = self._layers.get(owner)
        part = self.bundle.module.get_submodule(owner) if layer is None else layer.get_base_layer()
        tensor: Tensor = getattr(part, attribute)
        return tensor

    def _stored(self, name: str) -> Tensor:
        """The same; of a quantised layer the numbers it stands for."""
        owner, _, attribute = name.rpartition(".")
        inside = f"{owner}.base_layer.{attribute}" if owner in self._layers else name
        return tensor_of(self.bundle.module, inside)


def _parameters(layers: Mapping[str, Any], spec: AdapterSpec) -> Iterator[tuple[str, nn.Parameter]]:
    """A, B and magnitude of every layer, fp32: PEFT makes them in the dtype of the base."""
    for module, layer in layers.items():
        found = [*factors_of(layer), *([magnitude_of(layer)] if spec.use_dora else [])]
        for name, parameter in zip(spec.names_of(module), found, strict=True):
            parameter.data = parameter.data.float()
            yield name, parameter

"""A base model with PEFT's LoRA layers in it."""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lorafw.adapters.live.base_tensors import merged_numbers, merged_tensors, tensor_of
from lorafw.adapters.live.trained_parts import TrainedParts
from lorafw.adapters.live.untying import untie
from lorafw.contracts import AdaptedModel
from lorafw.contracts._adapter_values import copy_values, fresh_values, named_generator
from lorafw.models.names import checkpoint_names
from lorafw_peft._layers import merged, switched_off

# PEFT imports bitsandbytes where it is installed, which then complains of kernels nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from lorafw_peft._experts import merged_parameter, wrapped_modules  # noqa: E402
from lorafw_peft._loftq import loftq_pairs  # noqa: E402
from lorafw_peft._lora_layers import NAME, factors_of, inject_lora, magnitude_of  # noqa: E402
from lorafw_peft._row_starts import row_values  # noqa: E402
from lorafw_peft._starts import base_weight, start_pair  # noqa: E402
from lorafw_peft._subtracted import SubtractedStart  # noqa: E402
from lorafw_peft.starts import (  # noqa: E402
    KAIMING,
    LOFTQ,
    RANDOM_STARTS,
    ROW_STARTS,
    moves_output,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle, Objective
    from lorafw.types import AdapterSpec, AdapterState, Batch


class PeftAdaptedModel(AdaptedModel):
    """The bundle's module after `peft.inject_adapter_in_model`.

    Args:
        bundle: the base; its module is changed in place.
        spec: which modules, ranks and factors.
        start: where the factors begin; see `lorafw_peft.starts`.
        start_rows: how many rows of data the start looks at, if it is one that does.
        lora_plus_ratio: how many times as fast as A B learns.

    Raises:
        AdapterError: PEFT adapted other modules than `spec` names, or the start does not suit them.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        spec: AdapterSpec,
        *,
        start: str = KAIMING,
        start_rows: int = 0,
        lora_plus_ratio: float = 1.0,
    ) -> None:
        self.bundle, self.spec = bundle, spec
        self._start, self._ratio = start, lora_plus_ratio
        self.start_rows = start_rows if start in ROW_STARTS else 0
        self._of_weights: dict[str, Tensor] = {}
        untie(bundle.module, spec)
        self._base_names = checkpoint_names(bundle.module)
        self._layers = inject_lora(bundle.module, spec)
        self._around = wrapped_modules(self._layers.items())
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
        """Fresh values by the start's rule, or those before any row was seen."""
        values = fresh_values(self._factors, seed)
        self._begin({**values, **self._start_values(seed), **self.base_values()})

    def start_from(self, batches: Sequence[Batch], objective: Objective) -> None:
        """Let rows decide where the factors start, by the start's rule."""
        if not self.start_rows:
            return
        parts = self.bundle, self.spec, self._layers
        values = row_values(self._start, *parts, batches, objective)
        self._begin({**self._parameters, **values})

    def _begin(self, values: Mapping[str, Tensor]) -> None:
        """Start from these; what they add to the output is subtracted again."""
        self.load_state(values)
        if self._subtracted is not None:
            copy_values(self._subtracted.factors, {name: values[name] for name in self._factors})

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
            if module not in self.spec.parameters
        }
        weights |= {
            name: functools.partial(merged_parameter, self._layers[name], NAME)
            for name in self.spec.parameters
        }
        base_layers = {name: layer.get_base_layer() for name, layer in self._layers.items()}
        weights |= merged_numbers(base_layers, self.state)
        weights |= self._trained.merged()
        return merged_tensors(self._base_names, self._stored, weights)

    def _start_values(self, seed: int) -> dict[str, Tensor]:
        """The factors that start otherwise than LoRA's own; looked for once if no seed matters."""
        if self._start in RANDOM_STARTS:
            return dict(self._pairs(seed))
        if not self._of_weights and self._start == LOFTQ:
            self._of_weights = dict(loftq_pairs(self.bundle, self.spec, self._layers))
        elif not self._of_weights and self._start not in {KAIMING, *ROW_STARTS}:
            self._of_weights = dict(self._pairs(seed))
        return self._of_weights

    def _pairs(self, seed: int) -> Iterator[tuple[str, Tensor]]:
        for module, layer in self._layers.items():
            names = self.spec.pair_of(module)
            generator = named_generator(names[0], seed)
            rank, scaling = self.spec.rank_of(module), self.spec.scaling_of(module)
            yield from zip(
                names, start_pair(self._start, layer, rank, scaling, generator), strict=True
            )

    def base_tensor(self, name: str) -> Tensor:
        """The live tensor of a base name; PEFT keeps the base layer one level deeper."""
        owner, _, attribute = name.rpartition(".")
        layer = self._layers.get(name, self._layers.get(owner))
        part = self.bundle.module.get_submodule(owner) if layer is None else layer.get_base_layer()
        tensor: Tensor = getattr(part, attribute)
        return tensor

    def _stored(self, name: str) -> Tensor:
        """The same; of a quantised layer the numbers it stands for."""
        owner, _, attribute = name.rpartition(".")
        if owner in self._around:
            return self._around[owner].get_parameter(attribute)
        inside = f"{owner}.base_layer.{attribute}" if owner in self._layers else name
        return tensor_of(self.bundle.module, inside)


def _parameters(layers: Mapping[str, Any], spec: AdapterSpec) -> Iterator[tuple[str, nn.Parameter]]:
    """A, B and magnitude of every layer, fp32: PEFT makes them in the dtype of the base."""
    for module, layer in layers.items():
        found = [*factors_of(layer), *([magnitude_of(layer)] if spec.use_dora else [])]
        for name, parameter in zip(spec.names_of(module), found, strict=True):
            parameter.data = parameter.data.float()
            yield name, parameter

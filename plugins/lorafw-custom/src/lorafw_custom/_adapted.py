"""A base model whose target layers are replaced by lorafw's own."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from lorafw.adapters.live.base_tensors import merged_numbers, merged_tensors, tensor_of
from lorafw.adapters.live.subtracted_starts import parted, with_starts
from lorafw.adapters.live.trained_parts import TrainedParts
from lorafw.adapters.live.untying import untie
from lorafw.contracts import AdaptedModel
from lorafw.contracts._adapter_values import copy_values
from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names, is_linear
from lorafw_custom._embedding import LoRAEmbedding
from lorafw_custom._experts import ExpertsUpdate, experts_update
from lorafw_custom._linear import LoRALinear
from lorafw_custom._over_layer import LoRAOverLayer
from lorafw_custom._sharing import share_inputs
from lorafw_custom._starts import start_values
from lorafw_custom.fast.path import FastPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec, AdapterState
    from lorafw_custom._starts import Start
    from lorafw_custom.fast.path import Fast, Kernels

Adapted: TypeAlias = LoRALinear | LoRAOverLayer | LoRAEmbedding | ExpertsUpdate


class CustomAdaptedModel(AdaptedModel):
    """The bundle's module with each target replaced once; base tensors keep their names.

    Args:
        bundle: the base, changed in place.
        spec: what is adapted, and how.
        start: where A and B start.
        lora_plus_ratio: how many times as fast as A a B learns.
        fast, kernels: which layers are computed by hand, and how their formulas are run.

    Raises:
        AdapterError: a target is no linear layer, or is quantised in a way not known here; or the
            start asked for does not suit it.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        spec: AdapterSpec,
        *,
        start: Start = "kaiming",
        lora_plus_ratio: float = 1.0,
        fast: Fast = "auto",
        kernels: Kernels = "auto",
    ) -> None:
        self.bundle, self.spec = bundle, spec
        self._start, self._ratio = start, lora_plus_ratio
        untie(bundle.module, spec)
        self._base_names = checkpoint_names(bundle.module)
        made = {name: _made(bundle.module, name, spec) for name in spec.targets}
        bundle.module.requires_grad_(False)
        for name, layer in made.items():
            _put(bundle.module, name, layer)
        self._layers = made
        self._trained = TrainedParts(bundle.module, spec)
        self._parameters = dict(_parameters(made, spec)) | self._trained.parameters
        self.train(mode=False)
        self.reset(seed=0)
        share_inputs(bundle, [each for each in made.values() if isinstance(each, LoRALinear)])
        self._fast = FastPath(bundle, fast=fast, kernels=kernels)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """A, B and magnitudes under canonical names, module by module; then trained parts."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What trained parts are in the base, and how long the rows of adapted weights are."""
        lengths = {
            self.spec.names_of(name)[2]: layer.base_magnitudes()
            for name, layer in self._layers.items()
            if self.spec.use_dora
        }
        return {**lengths, **self._trained.base_values()}

    def train(self, mode: bool) -> None:
        """Switch the adapter's dropout; the base stays in eval."""
        for layer in self._layers.values():
            layer.train(mode)

    def learning_rate_scales(self) -> Mapping[str, float]:
        """LoRA+ (arXiv:2402.12354): every B learns faster than its A."""
        if self._ratio == 1:
            return {}
        return {self.spec.pair_of(module)[1]: self._ratio for module in self.spec.targets}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which layers take the fast path, and why others do not."""
        return self._fast.remarks

    def prepare_steps(self, steps: int, *, tokens: int) -> None:  # noqa: ARG002 - of the contract
        """Compile what a run of so many tokens is worth compiling for."""
        self._fast.prepare(tokens)

    def reset(self, seed: int) -> None:
        """Fresh values, a pure function of seed, name and weight."""
        super().reset(seed)
        for name, layer in self._layers.items():
            values = start_values(self._start, layer, name, seed)
            if values is None or name in self.spec.embeddings:
                continue
            for parameter, value in zip((layer.lora_A, layer.lora_B), values, strict=True):
                parameter.data.copy_(value)
            if self._start == "pissa":
                layer.start = layer.lora_A.detach().clone(), layer.lora_B.detach().clone()

    def state(self) -> AdapterState:
        """A copy of the adapter on the CPU; a subtracted start is exported as part of it."""
        state, starts = super().state(), self._starts()
        return with_starts(state, starts) if starts else state

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the live parameters: theirs alone, or a `state()` of this kind.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        starts: dict[str, tuple[Tensor, Tensor]] = {}
        if self._start == "pissa" and self._has_starts(tensors):
            tensors, starts = parted(self.spec, tensors)
        super().load_state(tensors)
        for name, (a, b) in starts.items():
            layer = self._layers[name]
            layer.start = a.to(layer.lora_A), b.to(layer.lora_B)

    def _has_starts(self, tensors: Mapping[str, Tensor]) -> bool:
        module = self.spec.targets[0]
        first = self.spec.pair_of(module)[0]
        return first in tensors and len(tensors[first]) == 2 * self.spec.rank_of(module)

    def _starts(self) -> dict[str, tuple[Tensor, Tensor]]:
        return {n: layer.start for n, layer in self._layers.items() if layer.start is not None}

    def training_state(self) -> Mapping[str, Tensor]:
        """The starts that are subtracted, by the names of the factors they belong to."""
        return {name: start.cpu() for name, start in self._named_starts().items()}

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `training_state` gave.

        Raises:
            AdapterError: it is not of this adapter.
        """
        copy_values(self._named_starts(), tensors)

    def _named_starts(self) -> dict[str, Tensor]:
        return {
            f"start.{name}": start
            for module, pair in self._starts().items()
            for name, start in zip(self.spec.pair_of(module), pair, strict=True)
        }

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
        """The base's tensors under base names, update folded in, one at a time."""
        merged = dict(_merged(self.bundle.module, self._layers))
        base_layers = {n: getattr(layer, "layer", layer) for n, layer in self._layers.items()}
        merged |= merged_numbers(base_layers, self.state)
        merged |= self._trained.merged()
        return merged_tensors(self._base_names, partial(tensor_of, self.bundle.module), merged)


def _made(module: nn.Module, name: str, spec: AdapterSpec) -> Adapted:
    if name in spec.parameters:
        return experts_update(module, name, spec)
    return _adapted(module.get_submodule(name), name, spec)


def _put(module: nn.Module, name: str, layer: Adapted) -> None:
    if isinstance(layer, ExpertsUpdate):
        owner, _, key = name.rpartition(".")
        layer.put_into(module.get_submodule(owner), key)
    else:
        module.set_submodule(name, layer)


def _merged(
    module: nn.Module, layers: Mapping[str, Adapted]
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """By base name, what forms each adapted weight."""
    for name, layer in layers.items():
        if isinstance(layer, ExpertsUpdate):
            yield name, partial(layer.merged_into, module.get_parameter(name))
        else:
            yield f"{name}.weight", layer.merged_weight


def _adapted(part: Any, name: str, spec: AdapterSpec) -> Adapted:
    kind = _kind(part, name, spec)
    options: dict[str, Any] = {
        "rank": spec.rank_of(name),
        "scaling": spec.scaling_of(name),
        "dropout": spec.dropout,
        "use_dora": spec.use_dora,
    }
    try:
        return kind(part, **options)
    except TypeError as error:
        raise AdapterError(f"{name} cannot be adapted: {error}.") from None


def _kind(part: nn.Module, name: str, spec: AdapterSpec) -> type[Adapted]:
    if name in spec.embeddings and isinstance(part, nn.Embedding):
        return LoRAEmbedding
    if not is_linear(part):
        raise AdapterError(f"{name} is a {type(part).__name__}, not a linear layer.")
    return LoRALinear if type(part) is nn.Linear else LoRAOverLayer


def _parameters(
    layers: Mapping[str, Adapted], spec: AdapterSpec
) -> Iterator[tuple[str, nn.Parameter]]:
    for module, layer in layers.items():
        own = (layer.lora_A, layer.lora_B, layer.lora_magnitude_vector)
        yield from zip(spec.names_of(module), filter(_exists, own), strict=True)


def _exists(parameter: nn.Parameter | None) -> bool:
    return parameter is not None

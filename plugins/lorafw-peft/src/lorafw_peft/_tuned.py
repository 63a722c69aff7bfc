"""A base model tuned by any of PEFT's methods that put layers into it, other than LoRA."""

from __future__ import annotations

import copy
import functools
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from lorafw.adapters.live.base_tensors import merged_tensors, refuse_quantised, tensor_of
from lorafw.adapters.live.trained_parts import TrainedParts
from lorafw.adapters.live.untying import untie
from lorafw.contracts import AdaptedModel
from lorafw.contracts._adapter_values import copy_values
from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names
from lorafw.types import AdapterState
from lorafw_peft._configs import json_options, tuner_class
from lorafw_peft._layers import merged, switched_off
from lorafw_peft._saved_names import NAME, saved_tensors, trained_parameters
from lorafw_peft.methods import ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from lorafw.contracts import ModelBundle
    from lorafw.types import AdapterSpec


class TunedModel(AdaptedModel):
    """The bundle's module after PEFT's tuner of a method was put into it.

    Args:
        bundle: the base; its module is changed in place.
        spec: the method, and what of the base is trained whole; the targets are read off the
            layers.
        config: PEFT's config of the method for this model.

    Raises:
        AdapterError: PEFT cannot make these layers.
    """

    def __init__(self, bundle: ModelBundle, spec: AdapterSpec, config: Any) -> None:
        self.bundle, self.config = bundle, config
        # PEFT keeps tied modules together where the method calls for it.
        untie(bundle.module, replace(spec, targets=()) if spec.method in ELSEWHERE else spec)
        self._base_names = checkpoint_names(bundle.module)
        self._pristine = _twin(bundle.module), copy.deepcopy(config)
        self._tuner = _tune(bundle.module, config, seed=0)
        self._layers = _layers_of(bundle.module)
        self._own = dict(trained_parameters(self._tuner))
        _refuse_outsiders(bundle.module, self._own)
        self._trained = TrainedParts(bundle.module, spec)
        own = (name for name, layer in self._layers.items() if not _follows_another(layer))
        self.spec = replace(spec, targets=tuple(own), options=json_options(config))
        self._parameters = self._own | self._trained.parameters
        self.train(mode=False)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The method's parameters under PEFT's names; then those of trained modules."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the trained modules are in the base."""
        return self._trained.base_values()

    def reset(self, seed: int) -> None:
        """Fresh values, as PEFT makes them when its random numbers start from the seed."""
        module, config = self._pristine
        wanting = [p for p in self.bundle.module.parameters() if p.requires_grad]
        fresh = saved_tensors(_tune(_twin(module), copy.deepcopy(config), seed))
        for parameter in wanting:  # the twin shares the base's parameters, which PEFT froze again
            parameter.requires_grad = True
        self._restart()
        self.load_state({**fresh, **self.base_values()})

    def _restart(self) -> None:
        """Forget what the method learned of the steps so far."""

    def state(self) -> AdapterState:
        """A copy of all that PEFT saves of the method, and of trained modules; on the CPU."""
        live = {**saved_tensors(self._tuner), **self._trained.parameters}
        tensors = {name: _copied(tensor) for name, tensor in live.items()}
        return AdapterState(replace(self.spec, options=json_options(self.config)), tensors)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write into the live tensors: the trained ones, or all that `state` gives.

        Raises:
            AdapterError: a name is missing or too many, or a shape differs.
        """
        if tensors.keys() == self._parameters.keys():
            copy_values(self._parameters, tensors)
            return
        copy_values({**saved_tensors(self._tuner), **self._parameters}, tensors)

    def training_state(self) -> Mapping[str, Tensor]:
        """What PEFT saves beside the trained parameters, such as random projections."""
        return {name: tensor.cpu().clone() for name, tensor in self._fixed().items()}

    def load_training_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with the same projections."""
        copy_values(self._fixed(), tensors)

    def _fixed(self) -> dict[str, Tensor]:
        """Each tensor once, though layers may share it."""
        saved = saved_tensors(self._tuner).items()
        places = {t.data_ptr(): name for name, t in saved if name not in self._parameters}
        return {name: tensor for name, tensor in saved if places.get(tensor.data_ptr()) == name}

    def train(self, mode: bool) -> None:
        """Switch the method's own randomness; the base stays in eval."""
        for layer in self._layers.values():
            layer.train(mode)
            layer.get_base_layer().train(mode=False)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, every layer computes what the base's alone computes."""
        with switched_off(self._layers.values()), self._trained.disabled():
            yield

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The base's tensors under base names, update folded in, one at a time.

        Raises:
            AdapterError: the base is quantised, or the method cannot be merged.
        """
        refuse_quantised(self.bundle.module)
        parts = dict(self._merged_parts()) | dict(self._trained.merged())
        return merged_tensors(self._base_names, self._stored, parts)

    def _merged_parts(self) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        for module, layer in self._layers.items():
            for name, _ in layer.get_base_layer().named_parameters(recurse=False):
                yield f"{module}.{name}", functools.partial(merged, layer, name)

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


def _twin(module: nn.Module) -> nn.Module:
    """A second module tree around the very same tensors: it costs no memory worth the name."""
    tensors = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def _tune(module: nn.Module, config: Any, seed: int) -> nn.Module:
    """Put the method's layers into a module; what they draw at random follows from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            tuner = _tuner_of(module, config)
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            fault = f"PEFT cannot put {config.peft_type.value} into this model: {error}"
            raise AdapterError(fault, where="injector") from error
    for layer in _layers_of(module).values():
        _widen(layer)
    found: nn.Module = tuner
    return found


def _tuner_of(module: nn.Module, config: Any) -> Any:
    """PEFT's tuner; if AdaLoRA is finished, with the ranks it left."""
    pattern = getattr(config, "rank_pattern", None) or {}
    if not any(isinstance(kept, list) for kept in pattern.values()):
        return tuner_class(config)(module, config, NAME)
    config.rank_pattern = None  # PEFT warns of it in this form, which PEFT itself has written
    tuner: Any = tuner_class(config)(module, config, NAME)
    config.rank_pattern = pattern
    tuner.resize_modules_by_rank_pattern(pattern, NAME)
    return tuner


def _widen(layer: Any) -> None:
    """What a layer adds to its base becomes fp32; PEFT makes much of it in the base's dtype."""
    base = layer.get_base_layer()
    kept = {id(tensor) for tensor in chain(base.parameters(), base.buffers())}
    for tensor in chain(layer.parameters(), layer.buffers()):
        if id(tensor) not in kept and tensor.is_floating_point():
            tensor.data = tensor.data.float()
    layer.register_forward_hook(_in_dtype_of_base)


def _in_dtype_of_base(layer: Any, _: Any, output: Any) -> Any:
    """A norm with fp32 weights gives fp32, which the next linear of a bf16 base does not take."""
    dtype = layer.get_base_layer().weight.dtype
    return output.to(dtype) if dtype.is_floating_point else output


def _layers_of(module: nn.Module) -> dict[str, Any]:
    return {name: m for name, m in module.named_modules() if isinstance(m, BaseTunerLayer)}


def _follows_another(layer: Any) -> bool:
    """Whether PEFT gave a tied head a layer that reads the embedding's."""
    return getattr(layer, "tied_adapter", None) is not None


def _refuse_outsiders(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """What an engine trains must lie in the module it wraps."""
    inside = {id(parameter) for parameter in module.parameters()}
    outside = [name for name, parameter in parameters.items() if id(parameter) not in inside]
    if outside or not parameters:
        fault = f"PEFT keeps {outside[0]} outside of the model" if outside else "nothing is trained"
        raise AdapterError(f"lorafw cannot train this method: {fault}.", where="injector.method")


def _copied(tensor: Tensor) -> Tensor:
    found = tensor.detach()
    return (found.float() if found.is_floating_point() else found).cpu().clone()

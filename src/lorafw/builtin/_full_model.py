"""A base model that is trained itself."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lorafw.adapters.live.base_tensors import merged_tensors, tensor_of
from lorafw.adapters.live.targets import refuse_adapted
from lorafw.adapters.live.trained_parts import compute_in_fp32
from lorafw.builtin._module_choice import chosen_modules
from lorafw.contracts.injector import AdaptedModel
from lorafw.errors import AdapterError
from lorafw.models.names import checkpoint_names
from lorafw.types import AdapterSpec, AdapterState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorafw.contracts.model import ModelBundle


class FullModel(AdaptedModel):
    """The bundle's module, some of its own parameters trained, in fp32.

    Where the base is bf16 or fp16 and only some are trained, their modules compute in fp32, and
    give back what the base goes on with; see `compute_in_fp32`. Where all are, all is fp32.

    Args:
        bundle: the base, frozen; changed in place.
        patterns: of the full names of the modules to train.

    Raises:
        AdapterError: a pattern matches nothing, the base is quantised, or carries an adapter.
    """

    def __init__(self, bundle: ModelBundle, patterns: Sequence[str]) -> None:
        module = bundle.module
        _refuse_unfit(module)
        self.bundle = bundle
        self._enabled = True
        self._base_names = checkpoint_names(module)
        needed = (*bundle.head_modules, *bundle.token_rows)
        names = _parameters_inside(module, chosen_modules(module, patterns, needed))
        self._parameters, self._aliases = _each_once(module, names)
        self.spec = AdapterSpec(rank=1, alpha=1.0, targets=(), trained=_owners(self._parameters))
        self._base = {name: p.detach().clone() for name, p in self._parameters.items()}
        if len(self._parameters) < len(list(module.parameters())):
            for owner in _owners((*self._parameters, *self._aliases)):
                self._widen(module.get_submodule(owner))
        for parameter in self._parameters.values():
            parameter.data = parameter.data.float()
            parameter.requires_grad = True

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The trained parameters, each under the first of the base's names for it."""
        return self._parameters

    def base_values(self) -> Mapping[str, Tensor]:
        """What the parameters were, in the base's dtype."""
        return self._base

    def state(self) -> AdapterState:
        """A copy of the trained modules on the CPU; a shared weight is there for each of them."""
        state = super().state()
        shared = {alias: state.tensors[name].clone() for alias, name in self._aliases.items()}
        trained = _owners((*self._parameters, *self._aliases))
        return AdapterState(replace(state.spec, trained=trained), {**state.tensors, **shared})

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the live parameters: theirs alone, or a `state()` of this kind.

        Raises:
            AdapterError: a name is missing or too many, a shape differs, or modules that share
                a weight are given different ones.
        """
        for alias, name in self._aliases.items():
            if alias in tensors and name in tensors and not tensors[alias].equal(tensors[name]):
                raise AdapterError(f"{name} and {alias} are one weight here, and differ.")
        own = {name: value for name, value in tensors.items() if name not in self._aliases}
        super().load_state(own)

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, the parameters are what they were in the base."""
        before, live = self._enabled, {n: p.data for n, p in self._parameters.items()}
        self._enabled = False
        self._put(self._base)
        try:
            yield
        finally:
            self._enabled = before
            self._put(live)

    def merged_state(self) -> Iterator[tuple[str, Tensor]]:
        """The model's tensors under base names: trained ones in fp32, others as they are."""
        return merged_tensors(self._base_names, partial(tensor_of, self.bundle.module), {})

    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.data = values[name]

    def _widen(self, part: nn.Module) -> None:
        """Let a module compute in fp32 while its parameters are the trained ones."""
        dtype = next(part.parameters(recurse=False)).dtype
        if dtype == torch.float32:
            return
        narrow = part.forward
        compute_in_fp32(part, dtype)
        wide = part.forward

        def forward(*args: Any, **options: Any) -> Any:
            return (wide if self._enabled else narrow)(*args, **options)

        part.forward = forward


def _refuse_unfit(module: nn.Module) -> None:
    refuse_adapted(module)
    if any(parameter.requires_grad for parameter in module.parameters()):
        mend = "Build the base model afresh."
        raise AdapterError("the model carries an adapter already, or is trained.", mend=mend)
    if getattr(module, "is_quantized", False):
        mend = "Load the base without model.quantize, or train an adapter."
        raise AdapterError("a quantised base cannot be trained itself.", mend=mend)


def _parameters_inside(module: nn.Module, names: Sequence[str]) -> dict[str, nn.Parameter]:
    """All parameters of modules, under every name that lies inside one of them."""
    inside = tuple(f"{name}." for name in names)
    named = module.named_parameters(remove_duplicate=False)
    return {name: parameter for name, parameter in named if name.startswith(inside)}


def _each_once(
    module: nn.Module, chosen: Mapping[str, nn.Parameter]
) -> tuple[dict[str, nn.Parameter], dict[str, str]]:
    """Parameters by the first name that the model has for each; and that name by the others."""
    wanted = {id(parameter) for parameter in chosen.values()}
    first: dict[int, str] = {}
    aliases: dict[str, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if id(parameter) in wanted and first.setdefault(id(parameter), name) != name:
            aliases[name] = first[id(parameter)]
    return {name: module.get_parameter(name) for name in first.values()}, aliases


def _owners(names: Sequence[str] | Mapping[str, object]) -> tuple[str, ...]:
    """The modules that parameters are of, each once."""
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in names))

"""What of a base is trained itself, beside the adapter: whole modules, such as a head."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from lorafw.types import AdapterSpec


class TrainedParts:
    """Makes parts of a base trainable, in fp32, and remembers what they were.

    Args:
        module: the base model, frozen; changed in place.
        spec: `trained` names the parts.

    Attributes:
        parameters: the trainable parameters under canonical names.
    """

    def __init__(self, module: nn.Module, spec: AdapterSpec) -> None:
        self._modules = _TrainedModules(module, spec.trained)
        self.parameters: dict[str, nn.Parameter] = self._modules.parameters

    def base_values(self) -> dict[str, Tensor]:
        """What the parameters were, by name, in the base's dtype."""
        return self._modules.base_values()

    def merged(self) -> Mapping[str, Callable[[], Tensor]]:
        """For base names whose tensors are not simply the live ones, what forms them."""
        return {}

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, the parts as they were stand in the model."""
        with self._modules.disabled():
            yield


class _TrainedModules:
    """Whole modules, by their full names, none inside another."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._module = module
        self._live = {name: module.get_submodule(name) for name in names}
        self._base = {name: copy.deepcopy(live) for name, live in self._live.items()}
        for live in self._live.values():
            live.float().requires_grad_(requires_grad=True)
        self.parameters = dict(_parameters(self._live))

    def base_values(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in _parameters(self._base)}

    @contextmanager
    def disabled(self) -> Iterator[None]:
        self._put(self._base)
        try:
            yield
        finally:
            self._put(self._live)

    def _put(self, modules: dict[str, nn.Module]) -> None:
        for name, part in modules.items():
            self._module.set_submodule(name, part)


def _parameters(modules: dict[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for name, module in modules.items():
        for inner, parameter in module.named_parameters():
            yield f"{name}.{inner}", parameter

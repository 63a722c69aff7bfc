"""Modules of a base that are trained whole, beside the adapter: a classifier's head."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn


class TrainedModules:
    """Makes modules trainable, in fp32, and remembers what they were.

    Args:
        module: the base model, frozen; changed in place.
        names: full names of the modules, none inside another.

    Attributes:
        parameters: the trainable parameters under the base's names.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._module = module
        self._live = {name: module.get_submodule(name) for name in names}
        self._base = {name: copy.deepcopy(live) for name, live in self._live.items()}
        for live in self._live.values():
            live.float().requires_grad_(requires_grad=True)
        self.parameters = dict(_parameters(self._live))

    def base_values(self) -> dict[str, Tensor]:
        """What the parameters were, by name, in the base's dtype."""
        return {name: p.detach() for name, p in _parameters(self._base)}

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, the modules as they were stand in the model."""
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

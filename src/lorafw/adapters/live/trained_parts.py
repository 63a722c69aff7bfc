"""What of a base is trained itself, beside the adapter: modules, rows of embeddings, biases."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lorafw.adapters.live.token_rows import TokenRows
from lorafw.adapters.live.trained_biases import TrainedBiases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from lorafw.types import AdapterSpec


class TrainedParts:
    """Makes parts of a base trainable, in fp32, and remembers what they were.

    Args:
        module: the base model, frozen, its adapter already in it; changed in place.
        spec: `trained` names whole modules, `token_rows` rows of embeddings and heads, `biases`
            modules of whose tensors only the bias is trained.

    Attributes:
        parameters: the trainable parameters under canonical names.

    Raises:
        AdapterError: see `TokenRows` and `TrainedBiases`.
    """

    def __init__(self, module: nn.Module, spec: AdapterSpec) -> None:
        self._modules = _TrainedModules(module, spec.trained)
        self._rows = TokenRows(module, spec)
        self._biases = TrainedBiases(module, spec.biases)
        self.parameters = {
            **self._modules.parameters,
            **self._rows.parameters,
            **self._biases.parameters,
        }

    def base_values(self) -> dict[str, Tensor]:
        """What the parameters were, by name; of modules in the base's dtype."""
        return {
            **self._modules.base_values(),
            **self._rows.base_values(),
            **self._biases.base_values(),
        }

    def merged(self) -> Mapping[str, Callable[[], Tensor]]:
        """For base names whose tensors are not simply the live ones, what forms them."""
        return {**self._rows.merged(), **self._biases.merged()}

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """While open, the parts as they were stand in the model."""
        with self._modules.disabled(), self._rows.disabled(), self._biases.disabled():
            yield


class _TrainedModules:
    """Whole modules, by their full names, none inside another."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._module = module
        self._live = {name: module.get_submodule(name) for name in names}
        self._base = {name: copy.deepcopy(live) for name, live in self._live.items()}
        for live in self._live.values():
            dtype = next(live.parameters()).dtype
            compute_in_fp32(live.float().requires_grad_(requires_grad=True), dtype)
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


def compute_in_fp32(part: nn.Module, dtype: torch.dtype) -> None:
    """Let a module take what the base gives it, and give back what the base goes on with.

    Where the base is bf16, inputs are widened and the result is rounded to bf16 again; a result of
    fp32 inputs stays fp32.
    """
    compute = part.forward

    def forward(*args: Any, **options: Any) -> Any:
        floating = [a.dtype for a in args if isinstance(a, Tensor) and a.is_floating_point()]
        wide = [a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args]
        result = compute(*wide, **options)
        stays = bool(floating) and set(floating) == {torch.float32}
        return result if stays or not isinstance(result, Tensor) else result.to(dtype)

    part.forward = forward

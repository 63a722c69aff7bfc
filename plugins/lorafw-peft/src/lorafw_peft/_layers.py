"""What every PEFT layer in a model can be asked: to step aside, and to fold itself in."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor


@contextmanager
def switched_off(layers: Iterable[Any]) -> Iterator[None]:
    """While open, layers compute what the base's alone compute.

    PEFT's switch also sets which parameters want gradients, so that is put back.
    """
    off = [layer for layer in layers if not layer.disable_adapters]
    wanted = [(p, p.requires_grad) for layer in off for p in layer.parameters()]
    for layer in off:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in off:
            layer.enable_adapters(enabled=True)
        for parameter, wants in wanted:
            parameter.requires_grad_(wants)


@torch.no_grad()
def merged(layer: Any, attribute: str) -> Tensor:
    """A tensor of a layer's base with the update folded in, in the base's dtype and shape.

    PEFT merges a twin whose base is fp32 and whose adapter is the live one, so the base stays as
    it is and the result is rounded once; beside it one layer is in memory.

    Raises:
        AdapterError: the method, or this layer of it, cannot be merged.
    """
    own = dict(layer.get_base_layer().named_parameters(recurse=False))
    shared: dict[int, Any] = {id(t): t for t in chain(layer.parameters(), layer.buffers())}
    twin = copy.deepcopy(layer, shared | {id(p): _widened(p) for p in own.values()})
    try:
        twin.merge()
    except (NotImplementedError, ValueError) as error:
        raise AdapterError(f"PEFT cannot merge this layer: {error}") from error
    result: Tensor = getattr(twin.get_base_layer(), attribute).detach()
    return result.to(own[attribute].dtype)


def _widened(parameter: nn.Parameter) -> nn.Parameter:
    wide = torch.promote_types(parameter.dtype, torch.float32)
    return nn.Parameter(parameter.detach().to(wide, copy=True), requires_grad=False)

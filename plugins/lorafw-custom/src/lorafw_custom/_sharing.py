"""Layers that read the same tensor, such as q, k and v, share one pass over it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from lorafw_custom._product import products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorafw.contracts import ModelBundle
    from lorafw_custom._linear import LoRALinear


def share_inputs(bundle: ModelBundle, layers: Sequence[LoRALinear]) -> None:
    """Find out which layers are given one and the same tensor, and let them know of each other.

    Nothing is assumed about the family: two tokens are sent through the model. What is found only
    saves time; a layer that is later given something else computes for itself.
    """
    for group in _by_input(bundle, layers):
        if len(group) > 1:
            siblings = Siblings(group)
            for layer in group:
                layer.siblings = siblings


@torch.no_grad()
def _by_input(bundle: ModelBundle, layers: Sequence[LoRALinear]) -> list[list[LoRALinear]]:
    seen: dict[int, tuple[Tensor, list[LoRALinear]]] = {}  # holding a tensor keeps its id its own

    def note(layer: Any, given: tuple[Tensor, ...]) -> None:
        group = seen.setdefault(id(given[0]), (given[0], []))[1]
        if layer not in group:
            group.append(layer)

    ids = torch.zeros((1, 2), dtype=torch.long, device=next(bundle.module.parameters()).device)
    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(note).remove)
        bundle.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    return [group for _, group in seen.values()]


class _Made(NamedTuple):
    """Outputs for one input, of layers that have not asked for theirs yet."""

    given: Tensor
    version: int
    outputs: dict[LoRALinear, Tensor]


class Siblings:
    """Layers that are given the same tensor: the first to be asked computes for all.

    Only while training, and only where every one of them is whole and plain: partitioned or
    offloaded weights come one layer at a time. A thread that meets another's outputs finds that
    they belong to another input, and makes its own.
    """

    def __init__(self, layers: Sequence[LoRALinear]) -> None:
        self._layers = tuple(layers)
        self._made: _Made | None = None

    def output_of(self, layer: LoRALinear, x: Tensor) -> Tensor | None:
        """The layer's output for `x`, or None if it has to compute for itself."""
        if not torch.is_grad_enabled():
            return None
        made = self._made
        if made is None or made.given is not x or made.version != _version(x):
            if not all(each.can_share(x) for each in self._layers):
                return None
            outputs = products(x, [each.operand() for each in self._layers])
            made = _Made(x, _version(x), dict(zip(self._layers, outputs, strict=True)))
        out = made.outputs.pop(layer, None)
        self._made = made if made.outputs else None
        return out


def _version(x: Tensor) -> int:
    """How often a tensor was written to, as autograd counts it."""
    return x._version  # noqa: SLF001 - its documented use: telling changes in place

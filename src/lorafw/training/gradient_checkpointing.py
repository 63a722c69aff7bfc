"""Gradient checkpointing: a layer keeps only what enters it, and is computed again backwards.

After Chen et al. 2016 (arXiv:1604.06174), in its non-reentrant form. What is wrapped is a layer's
`forward` and not the call of the layer: hooks by which sharded training gathers a layer's weights
lie around the call and run once for each direction, as they do without it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.checkpoint import checkpoint

from lorafw.contracts.model import ModelBundle
from lorafw.errors import ConfigError


@contextmanager
def recomputed(layers: Sequence[nn.Module]) -> Iterator[None]:
    """While open, these layers are computed twice wherever there is a backward pass."""
    with ExitStack() as wrapped:
        for layer in layers:
            wrapped.enter_context(_wrapped(layer))
        yield


@contextmanager
def _wrapped(layer: Any) -> Iterator[None]:
    own = vars(layer).get("forward")  # one put there by someone else, such as accelerate
    layer.forward = _twice(layer.forward)
    try:
        yield
    finally:
        if own is None:
            del layer.forward
        else:
            layer.forward = own


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def whole(*given: Any, **named: Any) -> Any:
        made = forward(*map(_own, given), **{name: _own(value) for name, value in named.items()})
        return tree_map_only(Tensor, _announced, made)

    def forward_twice(*given: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*given, **named)
        # All of it again, so that hooks of sharded training give back what they gathered; its
        # tensors are not compared, for partitioned weights are of no size where they are not used.
        return checkpoint(
            whole, *given, use_reentrant=False, early_stop=False, determinism_check="none", **named
        )

    return forward_twice


def _own(value: Any) -> Any:
    """A key-value cache as a copy that shares its tensors: a layer adds to it each time it runs."""
    from transformers import Cache

    if not isinstance(value, Cache):
        return value
    own = copy.copy(value)
    own.layers = [copy.copy(layer) for layer in value.layers]
    return own


def _announced(tensor: Tensor) -> Tensor:
    if not tensor.requires_grad:
        return tensor
    announced: Tensor = _RecomputeFirst.apply(tensor)  # type: ignore[no-untyped-call]
    return announced


class _RecomputeFirst(torch.autograd.Function):
    """The identity; its backward pass has the layer computed again before anything in it.

    ZeRO-3 gathers a module's weights just before that module's backward pass. Were the layer
    computed again in the middle of that, its forward hooks would take them apart again too early.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.save_for_backward(tensor.new_empty(0))
        return tensor.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        _ = ctx.saved_tensors
        return gradient


def layers_to_recompute(bundle: ModelBundle, *, wanted: bool) -> Sequence[nn.Module]:
    """The layers that a plan with or without gradient checkpointing recomputes.

    Raises:
        ConfigError: it is wanted, and the model does not say what its layers are.
    """
    if not wanted:
        return ()
    if not bundle.layers:
        raise ConfigError(
            "this model does not say which layers could be computed again.",
            where="plan.gradient_checkpointing",
            mend="Leave this option out, or lower plan.micro_batch_tokens.",
        )
    return bundle.layers

"""Gradient checkpointing: a module keeps only what enters it, and is computed again backwards.

After Chen et al. 2016 (arXiv:1604.06174), in its non-reentrant form. What is wrapped is a layer's,
or its MLP's, `forward` and not the call: hooks by which sharded training gathers a layer's weights
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
from lorafw.contracts.plan import Activations
from lorafw.errors import ConfigError
from lorafw.training.replaced_forward import replaced_forward

MARK = "recomputed"
"""True on a `forward` that computes twice; who does a module's work without calling it, asks."""


@contextmanager
def recomputed(modules: Sequence[nn.Module]) -> Iterator[None]:
    """While open, these modules are computed twice wherever there is a backward pass."""
    with ExitStack() as wrapped:
        for module in modules:
            wrapped.enter_context(replaced_forward(module, _twice))
        yield


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

    setattr(forward_twice, MARK, True)
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


def to_recompute(bundle: ModelBundle, activations: Activations) -> Sequence[nn.Module]:
    """The modules that a policy computes again; none for `auto`, which is settled before.

    Raises:
        ConfigError: the model does not say what they are.
    """
    if activations in ("auto", "keep"):
        return ()
    found = bundle.layers if activations == "checkpoint" else bundle.mlps
    if not found:
        what = "layers" if activations == "checkpoint" else "feed-forward parts"
        raise ConfigError(
            f"this model does not say which {what} could be computed again.",
            where="plan.activations",
            mend="Leave this option out, or lower plan.micro_batch_tokens.",
        )
    return found

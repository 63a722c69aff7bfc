"""The names a base model's tensors and linears go by."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

_LAYER = re.compile(r"\.\d+\.")
_ROUTER = re.compile(r"(router|(^|[._])gate$)")


def checkpoint_names(module: nn.Module) -> tuple[str, ...]:
    """The names under which a model's tensors are stored, in the order of its state dict.

    A tied weight has one name only: with tied embeddings, `lm_head.weight` is not among them. Nor
    are the scales of quantised weights. Ask before an injector has changed the model.
    """
    tied = getattr(module, "all_tied_weights_keys", None) or {}
    own = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    own |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    own -= tied.keys()
    return tuple(name for name in module.state_dict() if name in own)


def is_linear(module: nn.Module) -> bool:
    """Whether a module is `nn.Linear`, a quantised form of it, or GPT-2's `Conv1D`."""
    return isinstance(module, nn.Linear) or stores_transposed(module)


def stores_transposed(module: nn.Module) -> bool:
    """Whether a linear's weight is [in, out], as in GPT-2's `Conv1D`, and not [out, in]."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def features(linear: Any) -> tuple[int, int]:
    """How many features go into a linear of any kind, and come out of it."""
    if stores_transposed(linear):
        return linear.nx, linear.nf
    return linear.in_features, linear.out_features


def layer_linears(module: nn.Module) -> tuple[str, ...]:
    """Full names of the linears in the numbered layers; neither the head nor routers of experts."""
    return tuple(
        name
        for name, part in module.named_modules()
        if is_linear(part) and _LAYER.search(name) and not _ROUTER.search(name)
    )

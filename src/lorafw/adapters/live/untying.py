"""Weights that modules share, taken apart where an adapter is for one of the modules alone."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from lorafw.types import AdapterSpec


def untie(module: nn.Module, spec: AdapterSpec) -> None:
    """Give modules that share a weight one each, if the adapter acts on one and not on the other.

    PEFT's layers act so on a tied head or embedding, but a merged model needs two weights then.
    Trained rows of the embedding stay shared, as in PEFT; those of a head are its own. The model
    is afterwards as if it had never been tied: `checkpoint_names` has every name.

    Args:
        module: the base model, no adapter in it yet; changed in place where need be.
        spec: the adapter that is about to be put into it.
    """
    for names in shared_weights(module):
        owners = [name.rpartition(".")[0] for name in names]
        if any(_acts_on(spec, owner) for owner in owners) or _has_rows_apart(spec, owners):
            _take_apart(module, names)


def shared_weights(module: nn.Module) -> list[list[str]]:
    """The names of each parameter that has several, in the order of the model's modules."""
    by_identity: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        by_identity.setdefault(id(parameter), []).append(name)
    return [names for names in by_identity.values() if len(names) > 1]


def _acts_on(spec: AdapterSpec, owner: str) -> bool:
    inside_trained = tuple(f"{name}." for name in spec.trained)
    return owner in spec.targets or f"{owner}.".startswith(inside_trained)


def _has_rows_apart(spec: AdapterSpec, owners: Sequence[str]) -> bool:
    return any(owner in spec.token_rows for owner in owners[1:])


def _take_apart(module: nn.Module, names: Sequence[str]) -> None:
    """All but the first get a copy; the config no longer promises that they are one."""
    for name in names[1:]:
        owner, _, attribute = name.rpartition(".")
        part = module.get_submodule(owner)
        setattr(part, attribute, copy.deepcopy(getattr(part, attribute)))
    model: Any = module
    for name in names:
        getattr(model, "all_tied_weights_keys", {}).pop(name, None)
    if (config := getattr(model, "config", None)) is not None:
        config.tie_word_embeddings = False

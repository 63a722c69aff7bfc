"""Which layers of a model no training can change: those below the lowest adapted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lorafw.contracts.injector import AdaptedModel
from lorafw.errors import ConfigError

OPTION = "injector.prefix_cache"
"""The option whose demands are checked here."""


def lowest_layers(model: AdaptedModel) -> Sequence[nn.Module]:
    """The layers from the first one up to, and with, the lowest in which anything is trained.

    Raises:
        ConfigError: there are none below it, or what comes before them is trained as well.
    """
    trained = {id(parameter) for parameter in model.trainable().values()}
    layers = model.bundle.layers
    if not layers:
        raise _refusal("this model does not say what its layers are.")
    changed = (number for number, layer in enumerate(layers) if _holds(layer, trained))
    lowest = next(changed, None)
    if lowest is None:
        raise _refusal("nothing is trained in any of the model's layers.")
    if lowest == 0:
        mend = "Adapt the upper layers only, such as with injector.top_layers."
        raise _refusal("something is trained in the model's first layer.", mend)
    if _holds(_embedding(model.bundle.module), trained):
        raise rows_are_trained()
    return layers[: lowest + 1]


def rows_are_trained() -> ConfigError:
    """What is to be told where the numbers that enter the first layer change in training."""
    return _refusal(
        "something is trained before the model's first layer, such as its embedding.",
        "Leave out added and trainable tokens, and embeddings.",
    )


def is_not_all() -> ConfigError:
    """What is to be told where upper layers see more of the lower ones than what they hand on."""
    return _refusal("this model's upper layers take more from the lower ones than hidden states.")


def _refusal(fault: str, mend: str = "Leave this option out.") -> ConfigError:
    return ConfigError(fault, where=OPTION, mend=mend)


def _embedding(module: Any) -> nn.Module:
    getter = getattr(module, "get_input_embeddings", nn.Module)
    found: nn.Module = getter()
    return found


def _holds(module: nn.Module, trained: set[int]) -> bool:
    return any(id(parameter) in trained for parameter in module.parameters())

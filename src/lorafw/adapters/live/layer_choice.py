"""Which layers of a base model are adapted: those of some numbers, or the last ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from lorafw.errors import AdapterError, ConfigError

if TYPE_CHECKING:
    from lorafw.adapters.live.lora_options import LoRAOptions

LAYER_NUMBER = re.compile(r"\.(\d+)\.")
"""The first number in a module's name: that of its layer."""

_PREFIX = "injector.prefix_cache"
_UPPER = "Adapt the upper layers only, such as with injector.top_layers."
_EVERYWHERE = ("all-linear", "square")


def check_layer_choice(options: LoRAOptions) -> None:
    """See that layers are chosen once, and that a cache of the prefix can have one.

    Raises:
        ConfigError: both ways of choosing are used, or nothing lies below what is trained.
    """
    if options.top_layers is not None and options.layers_to_transform is not None:
        raise ConfigError(
            "layers_to_transform is set as well.",
            where="injector.top_layers",
            mend="Leave one of the two out.",
        )
    if not options.prefix_cache:
        return
    layers = options.layers_to_transform
    chosen = options.top_layers is not None or layers is not None
    if not chosen and options.target_modules in _EVERYWHERE:
        fault = "needs layers below the adapted ones, and none are left out."
        raise ConfigError(fault, where=_PREFIX, mend=_UPPER)
    if layers is not None and 0 in layers:
        fault = "needs layers below the adapted ones, and layer 0 is adapted."
        raise ConfigError(fault, where=_PREFIX, mend=_UPPER)
    if options.trainable_tokens:
        fault = "what enters the first layer changes in training: trainable_tokens are set."
        raise ConfigError(fault, where=_PREFIX, mend="Leave one of the two out.")


def top_numbers(chosen: Collection[str], top: int) -> tuple[int, ...]:
    """The numbers of the last layers that have modules to adapt.

    Args:
        chosen: full names of those modules.
        top: how many layers.

    Raises:
        AdapterError: there are not so many.
    """
    known = sorted(set(_numbers(chosen).values()))
    if top > len(known):
        fault = f"{top} layers are asked for, and {len(known)} have modules to adapt."
        raise AdapterError(fault, where="injector.top_layers")
    return tuple(known[-top:])


def within_layers(chosen: set[str], layers: Collection[int] | None) -> set[str]:
    """Those of some modules that are in layers of these numbers, or in none.

    Args:
        chosen: full names.
        layers: None for all.

    Raises:
        AdapterError: a layer has none of these modules.
    """
    if layers is None:
        return chosen
    numbers = _numbers(chosen)
    kept = {name for name in chosen if name not in numbers or numbers[name] in layers}
    known = set(numbers.values())
    if missing := sorted(set(layers) - known):
        raise AdapterError(
            f"there is no layer {missing[0]} with modules to adapt.",
            where="injector.layers_to_transform",
            mend=f"There are {min(known)} to {max(known)}." if known else "",
        )
    return kept


def _numbers(names: Collection[str]) -> dict[str, int]:
    return {name: int(found[1]) for name in names if (found := LAYER_NUMBER.search(name))}

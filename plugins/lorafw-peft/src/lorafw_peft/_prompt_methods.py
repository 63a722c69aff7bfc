"""The methods that train virtual tokens, by name: what can be told of them without PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "PROMPT_TUNING"
PREFIX = "PREFIX_TUNING"
PROMPT_METHODS = frozenset({TABLE, PREFIX, "P_TUNING"})
"""PEFT's names of the methods."""

DEFAULT_TOKENS = 20
"""How many virtual tokens there are where nobody says; PEFT itself has no default."""

_START = ("prompt_tuning_init", "prompt_tuning_init_text", "init_weights")
_TOKENIZER = ("tokenizer_name_or_path", "tokenizer_kwargs")


def prompt_capabilities(method: str, options: Mapping[str, Any]) -> frozenset[Capability]:
    """What a model with virtual tokens can do.

    A prefix lies in the key-value cache, which several sequences laid end to end do not have.

    Args:
        method: one of `PROMPT_METHODS`.
        options: the method's, as PEFT's config calls them.
    """
    able = {Capability.DISABLE, Capability.SHARDABLE}
    if method != PREFIX:
        able.add(Capability.SEGMENTS)
    if method == TABLE:
        able.add(Capability.CHOSEN_PROMPTS)
    if options.get("encoder_dropout"):
        able.add(Capability.SPLIT_DEPENDENT)
    return frozenset(able)


def virtual_tokens(method: str, options: Mapping[str, Any]) -> int:
    """How many virtual tokens a method has; 0 if it has none.

    Args:
        method: PEFT's name of any method.
        options: the method's, checked.
    """
    if method not in PROMPT_METHODS:
        return 0
    return int(options.get("num_virtual_tokens") or DEFAULT_TOKENS)


def finished_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A method's options; of virtual tokens, without those that only say how they started."""
    passed = (*_START, *_TOKENIZER) if method in PROMPT_METHODS else ()
    return {key: value for key, value in options.items() if key not in passed}

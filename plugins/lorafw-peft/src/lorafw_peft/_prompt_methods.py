"""The methods that train virtual tokens, by name: what can be told of them without PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.types import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "PREFIX_TUNING"
PROMPT_METHODS = frozenset({"PROMPT_TUNING", PREFIX, "P_TUNING"})
"""PEFT's names of the methods."""

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
    if options.get("encoder_dropout"):
        able.add(Capability.SPLIT_DEPENDENT)
    return frozenset(able)


def finished_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A method's options; of virtual tokens, without those that only say how they started."""
    passed = (*_START, *_TOKENIZER) if method in PROMPT_METHODS else ()
    return {key: value for key, value in options.items() if key not in passed}

"""Which tokens a model takes, and how many more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from lorafw.contracts.model import ModelBundle


BATCH_TOKENS = 32_768
"""Default of how many tokens, padding included, the rows of a batch may come to."""


def room_behind(bundle: ModelBundle, used: int, virtual: int = 0) -> int:
    """How many more tokens the model has positions for.

    Args:
        bundle: the model.
        used: tokens of the prompt.
        virtual: tokens of the adapter's own before it.

    Raises:
        UsageError: nothing is asked, or what is asked fills the model's context.
    """
    positions = context_length(bundle)
    if used == 0:
        raise UsageError("the prompt is empty.")
    if used + virtual >= positions:
        before = f", {virtual} of them the adapter's" if virtual else ""
        fault = f"the prompt has {used} tokens, the model's context is {positions}{before}."
        raise UsageError(fault, mend="Shorten the prompt.")
    return positions - used - virtual


def refuse_unknown(bundle: ModelBundle, tokens: Collection[int]) -> None:
    """Refuse ids that are none of the model's tokens.

    Raises:
        UsageError: there is one.
    """
    if tokens and not (min(tokens) >= 0 and max(tokens) < vocabulary_size(bundle)):
        unknown = min(tokens) if min(tokens) < 0 else max(tokens)
        raise UsageError(f"the model has no token {unknown}.")


def vocabulary_size(bundle: ModelBundle) -> int:
    """How many tokens can be read and written."""
    model: Any = bundle.module
    rows = len(model.get_input_embeddings().weight)
    return min(rows, int(model.config.get_text_config(decoder=True).vocab_size))


def context_length(bundle: ModelBundle) -> int:
    """How many positions the model has; 2^31 if nothing limits them."""
    model: Any = bundle.module
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or 2**31)

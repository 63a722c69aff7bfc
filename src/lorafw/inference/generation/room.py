"""How many tokens a model can still take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorafw.errors import UsageError

if TYPE_CHECKING:
    from lorafw.contracts.model import ModelBundle


BATCH_TOKENS = 32_768
"""Default of how many tokens, padding included, the rows of a batch may come to."""


def room_behind(bundle: ModelBundle, used: int) -> int:
    """How many more tokens the model has positions for.

    Raises:
        UsageError: nothing is asked, or what is asked fills the model's context.
    """
    positions = context_length(bundle)
    if used == 0:
        raise UsageError("the prompt is empty.")
    if used >= positions:
        fault = f"the prompt has {used} tokens, the model's context is {positions}."
        raise UsageError(fault, mend="Shorten the prompt.")
    return positions - used


def context_length(bundle: ModelBundle) -> int:
    """How many positions the model has; 2^31 if nothing limits them."""
    model: Any = bundle.module
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or 2**31)

"""Can what enters the lowest adapted layer be kept for later epochs? Answered without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.errors import CompositionError
from lorafw.types import Capability

if TYPE_CHECKING:
    from lorafw.assembly.compose import Parts


def prefix_can_be_kept(parts: Parts) -> None:
    """Every epoch has the same micro-batches, and whole layers can be passed over.

    Raises:
        CompositionError: that is not so, and `injector.prefix_cache` is set.
    """
    if not parts.injector.caches_prefix:
        return
    plan = parts.plan
    if plan.composition != "fixed":
        raise _refusal(
            "needs the same micro-batches in every epoch.", "Set plan.composition: fixed."
        )
    if plan.neftune_alpha is not None:
        fault = "cannot be combined with plan.neftune_alpha, whose noise changes with every step."
        raise _refusal(fault, "Leave one of the two out.")
    if Capability.WHOLE_PARAMETERS not in parts.trainer.capabilities:
        raise _refusal(
            f"needs whole layers on every rank, and trainer '{parts.names['trainer']}' takes them "
            "apart with these options.",
            "Keep parameters whole (deepspeed: zero_stage up to 2; accelerate: no fsdp).",
        )


def _refusal(fault: str, mend: str) -> CompositionError:
    return CompositionError(fault, where="injector.prefix_cache", mend=mend)

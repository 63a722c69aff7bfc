"""Whether an export may be published, and what its certificate calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from lorafw.certification.precision import TOLERANCES, most_apart
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorafw.certification.comparison import Comparison
    from lorafw.certification.witness import Facts

Verdict: TypeAlias = Literal["exact", "rounded", "lossy", "unread"]
"""`exact`: nothing was rounded; `rounded`: by the dtype the model was trained in; `lossy`: by what
was wished, and accepted; `unread`: no tool that could open it is installed, or none is meant to."""


_SOMETHING_ELSE = 0.5
"""Typical difference, as a share of the logits, that not even four bits of a weight explain."""


def judge(
    found: Comparison, facts: Facts, *, rounds: bool, accept_loss: bool, where: str
) -> Verdict:
    """Say how an export compares with the trained model.

    Args:
        found: what was measured.
        facts: of the trained model.
        rounds: the exporter's format, or its options, hold coarser numbers than the model.
        accept_loss: whether the user takes what that changes.
        where: the export, for errors.

    Raises:
        ExportError: it is not the model that was trained, or a loss was not accepted.
    """
    if fault := next(_faults(found, facts), None):
        raise ExportError(f"{found.tool} opens it, but {fault}", where=where)
    if rounds and not accept_loss:
        raise unaccepted(f"rounding changes it: {loss_text(found)}", where)
    if not rounds and (fault := _too_far(found, facts)):
        mend = "Please report this: nothing was asked for that explains it."
        raise ExportError(f"{found.tool} opens it, but {fault}", where=where, mend=mend)
    if rounds:
        return "lossy"
    return "exact" if facts.precision == "fp32" else "rounded"


def unaccepted(fault: str, where: str) -> ExportError:
    """That a loss was not accepted, and how it may be."""
    mend = "Accept that with accept_loss: true (--accept-loss), or write it in a wider dtype."
    return ExportError(fault, where=where, mend=mend)


def loss_text(found: Comparison) -> str:
    """The difference in words."""
    return (
        f"the largest difference of a logit is {found.largest:.1e}, of {found.scale:.1f} at most, "
        f"and the likeliest token is the same at {found.agreeing} of {found.positions} places."
    )


def _faults(found: Comparison, facts: Facts) -> Iterator[str]:
    """What no rounding explains."""
    if found.words is not None and found.words != facts.words:
        yield f"its tokenizer knows {found.words} tokens, the trained model's {facts.words}."
    if found.other_reading:
        yield found.other_reading
    if found.other_text:
        yield f"{found.other_text!r} is rendered to other token ids than in training."
    if found.tied is not None and facts.tied is not None and found.tied != facts.tied:
        what = "one weight" if found.tied else "two weights"
        yield f"embedding and head are {what} in it, and were not in the trained model."
    if found.typical > _SOMETHING_ELSE:
        yield f"it computes something else: {loss_text(found)}"
    if found.effect and not found.kept_effect:
        yield "it computes what the base alone computes: the adapter is lost in rounding."


def _too_far(found: Comparison, facts: Facts) -> str:
    typical, most = TOLERANCES[facts.precision], most_apart(facts.precision)
    if found.share > most or found.typical > typical:
        return f"it computes something else: {loss_text(found)}"
    if facts.precision == "fp32" and _hides_the_adapter(found):
        return f"it is off by half of what the adapter changes: {loss_text(found)}"
    if facts.precision == "fp32" and found.disagreeing:
        return f"the likeliest token differs where there is no tie: {loss_text(found)}"
    return ""


def _hides_the_adapter(found: Comparison) -> bool:
    """Whether a difference within the tolerance may still be an adapter that was lost in part."""
    seen = TOLERANCES["fp32"] / 10  # sums in another order never gave more
    return found.effect is not None and found.largest > max(found.effect / 2, seen * found.scale)

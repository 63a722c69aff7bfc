"""What passes, what has to be accepted, and what is refused whatever is said."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.certification.comparison import Comparison
from lorafw.certification.precision import TOLERANCES, Precision, most_apart
from lorafw.certification.verdict import judge
from lorafw.certification.witness import Facts
from lorafw.errors import ExportError

SAME: dict[str, Any] = {
    "tool": "a tool",
    "largest": 1e-6,
    "scale": 10.0,
    "typical": 1e-7,
    "positions": 40,
    "agreeing": 40,
    "near_ties": 0,
    "effect": 1.0,
    "kept_effect": 1.0,
    "words": 100,
    "other_text": "",
    "tied": True,
}


def judged(
    precision: Precision = "fp32", *, rounds: bool = False, accept_loss: bool = False, **found: Any
) -> str:
    facts = Facts(words=100, tied=True, precision=precision)
    comparison = Comparison(**{**SAME, **found})
    return judge(comparison, facts, rounds=rounds, accept_loss=accept_loss, where="out")


def test_verdicts() -> None:
    assert judged() == "exact"
    assert judged("bf16") == "rounded"
    assert judged(rounds=True, accept_loss=True) == "lossy"


@pytest.mark.parametrize("precision", TOLERANCES)
def test_the_tolerance_follows_from_the_precision(precision: Precision) -> None:
    typical, largest = TOLERANCES[precision], most_apart(precision) * 10.0
    assert judged(precision, largest=0.99 * largest, typical=0.99 * typical)
    for accept in (False, True):
        for found in ({"largest": 1.01 * largest}, {"typical": 1.01 * typical}):
            with pytest.raises(ExportError, match="it computes something else"):
                judged(precision, **found, accept_loss=accept)


def test_a_loss_is_told_and_has_to_be_accepted() -> None:
    with pytest.raises(ExportError, match=r"is 2\.0e\+00, of 10\.0 .* 31 of 40") as caught:
        judged(rounds=True, largest=2.0, agreeing=31)
    assert "--accept-loss" in caught.value.mend
    assert judged(rounds=True, accept_loss=True, largest=2.0, agreeing=31) == "lossy"


def test_in_fp32_likeliest_tokens_differ_at_ties_only() -> None:
    assert judged(agreeing=39, near_ties=1) == "exact"
    with pytest.raises(ExportError, match="where there is no tie"):
        judged(agreeing=39)
    assert judged("bf16", agreeing=39) == "rounded"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"words": 99}, "knows 99 tokens, the trained model's 100"),
        ({"other_text": "Two"}, "'Two' is rendered to other token ids"),
        ({"tied": False}, "are two weights in it"),
        ({"kept_effect": 0.0}, "the adapter is lost"),
    ],
)
def test_what_no_rounding_explains_is_refused(found: dict[str, Any], told: str) -> None:
    with pytest.raises(ExportError, match=told):
        judged(**found, rounds=True, accept_loss=True)


def test_what_a_tool_does_not_tell_is_no_fault() -> None:
    assert judged(words=None, tied=None, effect=None, kept_effect=None) == "exact"


def test_no_rounding_explains_another_model() -> None:
    with pytest.raises(ExportError, match="it computes something else"):
        judged(rounds=True, accept_loss=True, typical=0.6)
    with pytest.raises(ExportError, match="but its chat template is not"):
        judged(other_reading="its chat template is not the one of training.")


def test_a_weak_adapter_is_not_lost_within_the_tolerance() -> None:
    assert judged(effect=4e-4, largest=1e-4) == "exact"
    assert judged(effect=1e-6, largest=1e-5) == "exact"  # sums in another order
    with pytest.raises(ExportError, match="half of what the adapter changes"):
        judged(effect=4e-4, largest=3e-4)

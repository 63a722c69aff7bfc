"""Options of a plan that say the same in two ways, or leave something open."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.contracts import TrainPlan
from lorafw.errors import ConfigError


def plan(**options: Any) -> TrainPlan:
    return TrainPlan.from_mapping(options, where="plan")


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, "auto"),
        ({"gradient_checkpointing": True}, "checkpoint"),
        ({"gradient_checkpointing": False}, "keep"),
        ({"gradient_checkpointing": True, "activations": "checkpoint"}, "checkpoint"),
        ({"gradient_checkpointing": False, "activations": "recompute-mlp"}, "recompute-mlp"),
        ({"gradient_checkpointing": False, "activations": "auto"}, "auto"),
    ],
)
def test_the_former_spelling_is_understood(options: dict[str, Any], meant: str) -> None:
    found = plan(**options)
    assert found.activations == meant
    assert plan(**found.model_dump()) == found


@pytest.mark.parametrize(
    ("former", "said"), [(True, "keep"), (True, "auto"), (False, "checkpoint")]
)
def test_a_contradiction_is_refused(former: bool, said: str) -> None:
    with pytest.raises(ConfigError, match="leave gradient_checkpointing out") as caught:
        plan(gradient_checkpointing=former, activations=said)
    assert "{" not in str(caught.value)  # not the whole plan


def test_other_values_of_it_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be true or false"):
        plan(gradient_checkpointing="sometimes")


@pytest.mark.parametrize(("given", "tokens"), [("auto", 4096), ("calibrate", 4096), (77, 77)])
def test_a_budget_is_known_before_it_is_settled(given: Any, tokens: int) -> None:
    assert plan(micro_batch_tokens=given).token_budget == tokens


@pytest.mark.parametrize("given", [0, -1, True, "many", 1.5])
def test_other_budgets_are_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="at least 1, or auto, or calibrate"):
        plan(micro_batch_tokens=given)

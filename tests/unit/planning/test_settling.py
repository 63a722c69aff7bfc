"""What is left open is settled by what fits, the fastest first, and what is said stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.contracts import TrainPlan
from lorafw.planning.forecast import Forecast
from lorafw.planning.portions import Portions
from lorafw.planning.rank_memory import RankMemory
from lorafw.planning.settling import LADDER, fits, open_choices, settle
from lorafw.types import Layout

RESTING, EACH = 1000, {"keep": 4.0, "recompute-mlp": 2.0, "checkpoint": 1.0}


def foretell(plan: TrainPlan) -> Forecast:
    """A made-up model, whose activations go with the tokens."""
    tokens = plan.token_budget
    parts = dict.fromkeys(("adapter", "gradients", "optimizer", "head", "engine", "libraries"), 0)
    memory = RankMemory(weights=RESTING, activations=int(tokens * EACH[plan.activations]), **parts)
    cut = Portions(1, tokens, tokens, 1.0, 0.0, 0.0, (0,), tokens, 1)
    return Forecast(1, Layout.SEGMENTS, cut, plan.activations, tokens, memory)


def chosen(available: int | None, **options: Any) -> tuple[str, Any]:
    plan = settle(TrainPlan(**options), foretell, available).plan
    return plan.activations, plan.micro_batch_tokens


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (None, ("keep", 4096)),
        (20_000, ("keep", 4096)),
        (11_000, ("keep", 2048)),
        (6_000, ("recompute-mlp", 2048)),
        (4_000, ("checkpoint", 2048)),
        (1_500, ("checkpoint", 2048)),
    ],
)
def test_the_fastest_that_fits_is_taken(available: int | None, expected: tuple[str, int]) -> None:
    assert chosen(available) == expected


def test_what_is_said_stays() -> None:
    assert chosen(1_500, activations="keep", micro_batch_tokens=9000) == ("keep", 9000)
    assert chosen(6_000, activations="keep") == ("keep", 2048)
    assert chosen(13_000, micro_batch_tokens=5000) == ("recompute-mlp", 5000)


def test_a_trial_is_left_open_and_the_rest_is_settled() -> None:
    assert chosen(20_000, micro_batch_tokens="calibrate") == ("keep", "calibrate")
    assert chosen(6_000, micro_batch_tokens="calibrate") == ("recompute-mlp", "calibrate")


def test_what_is_not_as_usual_is_told() -> None:
    plan = TrainPlan()
    assert settle(plan, foretell, 20_000).told == ""
    told = settle(plan, foretell, 6_000).told
    assert "plan.activations: recompute-mlp, plan.micro_batch_tokens: 2048" in told
    assert "hardly fit" in settle(plan, foretell, 1_500).told
    assert "hardly fit" not in told


def test_a_model_that_cannot_say_its_mlps_is_passed_to_whole_layers() -> None:
    def without_mlps(plan: TrainPlan) -> Forecast:
        found = foretell(plan)
        known = plan.activations != "recompute-mlp"
        return found if known else Forecast(1, found.layout, found.portions, "keep", 1, unknown="?")

    assert settle(TrainPlan(), without_mlps, 6_000).plan.activations == "checkpoint"


def test_where_nobody_knows_it_is_the_usual() -> None:
    cut = foretell(TrainPlan(activations="keep")).portions
    unknown = Forecast(1, Layout.PADDED, cut, "keep", 4096, unknown="quantised")
    assert settle(TrainPlan(), lambda _: unknown, 10).plan.activations == "keep"


@given(
    st.integers(1, 40_000),
    st.sampled_from(["auto", *LADDER]),
    st.sampled_from(["auto", "calibrate", 1, 100, 9000]),
)
def test_nothing_stays_open_and_what_fits_is_found(
    available: int, activations: Any, tokens: Any
) -> None:
    plan = TrainPlan(activations=activations, micro_batch_tokens=tokens)
    found = settle(plan, foretell, available)
    assert found.plan.activations != "auto"
    assert found.plan.micro_batch_tokens != "auto"
    able = [choice for choice in open_choices(plan) if fits(foretell(choice), available)]
    if able:
        assert fits(found.forecast, available)
        assert found.plan.activations == able[0].activations

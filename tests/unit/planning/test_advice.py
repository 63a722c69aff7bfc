from __future__ import annotations

from dataclasses import replace

from lorafw.contracts import TrainPlan
from lorafw.planning.advice import advice, fitting_budget
from lorafw.planning.forecast import Forecast
from lorafw.planning.portions import Portions
from lorafw.planning.rank_memory import RankMemory
from lorafw.types import Layout

MEMORY = RankMemory(
    weights=1000,
    adapter=10,
    gradients=10,
    optimizer=20,
    activations=4000,
    head=1000,
    engine=0,
    libraries=0,
)
CUT = Portions(
    steps=10,
    tokens=1000,
    cells=1500,
    micro_batches=2.0,
    padding=0.0,
    padding_if_padded=0.3,
    largest=(0,),
    largest_cells=100,
    seen=10,
)
FOUND = Forecast(1, Layout.SEGMENTS, CUT, "keep", 128, MEMORY, 1000, 10)
POLICIES = {"keep": 6040, "recompute-mlp": 4000, "checkpoint": 2000}
PLAN = TrainPlan(micro_batch_tokens=128)


def test_a_budget_that_fits_does() -> None:
    fits = fitting_budget(FOUND, MEMORY, 4000)
    assert MEMORY.resting + fits * 50 <= 3600 < MEMORY.resting + (fits + 1) * 50


def test_what_is_too_large_is_told_how_to_fit() -> None:
    first, second = advice(FOUND, PLAN, 4000, POLICIES)
    assert "plan.activations: checkpoint" in first
    assert "plan.micro_batch_tokens: 51 fits" in second


def test_weights_that_do_not_fit_are_to_be_shared() -> None:
    *_, alone = advice(FOUND, PLAN, 500, POLICIES)
    *_, several = advice(replace(FOUND, world_size=2), PLAN, 500, POLICIES)
    assert "model.quantize" in alone
    assert "ZeRO stage 3" in several


def test_room_to_spare_is_told() -> None:
    (told,) = advice(FOUND, PLAN, 1_000_000, POLICIES)
    assert "plan.micro_batch_tokens: 4096 needs fewer passes" in told
    once = replace(FOUND, portions=replace(CUT, micro_batches=1.0))
    assert advice(once, PLAN, 1_000_000, POLICIES) == []
    assert advice(FOUND, TrainPlan(), 1_000_000, POLICIES) == []


def test_what_is_computed_again_without_need_is_told() -> None:
    twice = replace(FOUND, activations="checkpoint")
    (told,) = advice(twice, PLAN, 1_000_000, POLICIES)
    assert "plan.activations: keep is faster" in told


def test_much_padding_is_told_even_without_memory() -> None:
    cut = replace(CUT, padding=0.5)
    padded = Forecast(1, Layout.PADDED, cut, "keep", 128, unknown="no reason")
    (told,) = advice(padded, PLAN, None, {})
    assert "50% of all cells are padding" in told
    assert advice(FOUND, PLAN, None, POLICIES) == []

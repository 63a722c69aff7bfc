from __future__ import annotations

import pytest
from benchmarks.metered_run import Metered
from benchmarks.scaling_cost import Cost, cost_of, growth


def test_a_token_costs_what_it_does_in_the_median_step_after_the_first_ones() -> None:
    run = Metered(
        losses=[], tokens=[10, 10, 10, 20, 10], cpu_seconds=[9, 1, 4, 2], seconds=[9, 2, 8, 4],
        own_bytes=100,
    )  # fmt: skip
    cost = cost_of([run], warmup=2)
    assert cost.cpu_microseconds == pytest.approx(0.2e6)
    assert cost.microseconds == pytest.approx(0.4e6)
    assert cost.own_bytes == 100


def test_growth_is_from_the_least_to_the_most() -> None:
    costs = {10: Cost(1, 2, 50), 1: Cost(1, 1, 40), 5: Cost(9, 9, 900)}
    assert growth(costs) == (2, 1.25)

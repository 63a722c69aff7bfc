"""The best of a row of evaluations, and when there were enough of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.classification import Classification
from lorafw.contracts import Objective, TrainPlan
from lorafw.errors import ConfigError
from lorafw.training.best import Best, Judge, check_held_out_rows, check_place_for_best
from lorafw.types import Encoded

FIGURES = st.lists(st.floats(-100, 100) | st.sampled_from([math.nan, math.inf]), max_size=12)


def judged(
    figures: list[float], objective: Objective | None = None, **options: object
) -> tuple[Best, list[bool]]:
    """What a row of evaluations shows, and after which of them patience had run out."""
    judge = Judge(TrainPlan.from_mapping(options, where="plan"), objective or CausalLM())
    best, over = Best(), []
    for step, figure in enumerate(figures, start=1):
        best = judge.judge(best, step, {judge.metric: figure})
        over.append(judge.is_over(best))
    return best, over


@given(FIGURES)
def test_the_best_is_the_first_of_the_lowest(figures: list[float]) -> None:
    best, _ = judged(figures)
    finite = [figure for figure in figures if math.isfinite(figure)]
    expected = figures.index(min(finite)) + 1 if finite else None
    assert best.step == expected
    assert best.figures == ({"loss": min(finite)} if finite else {})


@given(FIGURES)
def test_higher_is_the_mirror_of_lower(figures: list[float]) -> None:
    mirrored = [-figure for figure in figures]
    options = {"early_stopping_patience": 2, "early_stopping_threshold": 0.5}
    low, stops = judged(figures, **options)
    high, others = judged(mirrored, Classification(), metric_for_best="accuracy", **options)
    assert (low.step, low.waited, stops) == (high.step, high.waited, others)


@pytest.mark.parametrize(
    ("figures", "threshold", "stops_at"),
    [
        ([3, 2, 2, 2, 1], 0.0, 4),
        ([3, 2, 2, 1, 1], 0.0, None),
        ([3, 4, 5], 0.0, 3),
        ([3, 2.9, 2.8, 2.7], 0.25, 3),
        ([3, 2.9, 2.7, 2.6, 2.4], 0.25, None),  # small gains add up
        ([math.nan, math.nan], 0.0, 2),
        ([3, math.nan, 2, math.inf, math.nan], 0.0, 5),
    ],
)
def test_patience(figures: list[float], threshold: float, stops_at: int | None) -> None:
    options = {"early_stopping_patience": 2, "early_stopping_threshold": threshold}
    over = judged(figures, **options)[1]
    assert (over.index(True) + 1 if True in over else None) == stops_at


def test_any_gain_is_the_best_even_below_the_threshold() -> None:
    best, _ = judged([3, 2.9], early_stopping_patience=1, early_stopping_threshold=0.5)
    assert (best.step, best.mark, best.waited) == (2, 3, 1)


def test_without_patience_it_is_never_over() -> None:
    assert judged([1.0] * 50)[1] == [False] * 50


def test_a_figure_that_is_not_given_is_named_with_those_that_are() -> None:
    plan = TrainPlan(metric_for_best="f1_macro")
    judge = Judge(plan, Classification())
    with pytest.raises(ConfigError, match=r"plan.metric_for_best: 'f1_macro' .*There are: loss"):
        judge.judge(Best(), 1, {"loss": 1.0, "mcc": 0.5})


def test_what_is_no_progress_is_said() -> None:
    judge = Judge(TrainPlan(), CausalLM())
    assert judge.complaint(3, {"loss": 1.0}) == ""
    assert judge.complaint(3, {"loss": math.nan}) == (
        "The held-out loss after step 3 is nan: no progress."
    )


@pytest.mark.parametrize("option", [{"early_stopping_patience": 2}, {"export_best": True}])
def test_deciding_needs_held_out_rows(option: dict[str, int]) -> None:
    plan = TrainPlan.from_mapping(option, where="plan")
    check_held_out_rows(plan, [Encoded((1,), (1,))])
    with pytest.raises(ConfigError, match=rf"plan.{next(iter(option))}: there are no held-out"):
        check_held_out_rows(plan, [])


def test_keeping_the_best_needs_a_folder(tmp_path: Path) -> None:
    check_place_for_best(TrainPlan(export_best=True), tmp_path)
    check_place_for_best(TrainPlan(), None)
    with pytest.raises(ConfigError, match=r"plan.export_best: .* folder"):
        check_place_for_best(TrainPlan(export_best=True), None)

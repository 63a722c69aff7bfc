"""Measures of a matrix of scores, by hand and by what must hold for any matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.errors import UsageError
from lorafw_continual.matrix import (
    MEASURES,
    Scores,
    as_scores,
    average_anytime_accuracy,
    backward_transfer,
    backward_transfer_trace,
    forgetting,
    forward_transfer,
    gain_over_alone,
    learning_accuracy,
    measures,
    overall_performance,
)

THREE = np.array([[0.9, 0.2, 0.1], [0.6, 0.8, 0.3], [0.5, 0.9, 0.7]])
UNTRAINED = np.array([0.0, 0.1, 0.2])
ALONE = np.array([0.9, 0.7, 0.9])


@st.composite
def matrices(draw: Any) -> Scores:
    size = draw(st.integers(2, 6))
    numbers = st.floats(-10, 10, allow_nan=False, width=32)
    rows = st.lists(numbers, min_size=size, max_size=size)
    return np.array(draw(st.lists(rows, min_size=size, max_size=size)), np.float64)


def test_three_tasks_by_hand() -> None:
    performance = [0.9, (0.6 + 0.8) / 2, (0.5 + 0.9 + 0.7) / 3]
    assert overall_performance(THREE) == pytest.approx(performance)
    assert average_anytime_accuracy(THREE) == pytest.approx((0.9 + 0.7 + 0.7) / 3)
    assert learning_accuracy(THREE) == pytest.approx((0.9 + 0.8 + 0.7) / 3)
    assert backward_transfer(THREE) == pytest.approx(((0.5 - 0.9) + (0.9 - 0.8)) / 2)
    assert backward_transfer_trace(THREE) == pytest.approx(((0.5 - 0.9) + (0.9 - 0.8) + 0) / 3)
    assert forgetting(THREE) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.9)) / 2)
    assert forward_transfer(THREE, UNTRAINED) == pytest.approx(((0.2 - 0.1) + (0.3 - 0.2)) / 2)
    assert gain_over_alone(THREE, ALONE) == pytest.approx(((0.8 - 0.7) + (0.7 - 0.9)) / 2)


def test_forgetting_is_from_the_best_even_if_that_was_before_the_task_itself() -> None:
    scores = np.array([[0.5, 0.9, 0.0], [0.7, 0.6, 0.0], [0.4, 0.5, 1.0]])
    assert forgetting(scores) == pytest.approx(((0.7 - 0.4) + (0.9 - 0.5)) / 2)


def test_of_a_single_task_there_is_nothing_to_forget() -> None:
    assert measures(np.array([[0.4]])) == {"op": 0.4, "aaa": 0.4, "la": 0.4}
    assert math.isnan(forgetting(np.array([[0.4]])))


def test_every_measure_has_a_meaning_and_the_order_of_the_meanings() -> None:
    assert list(measures(THREE, untrained=UNTRAINED, alone=ALONE)) == list(MEASURES)


def test_a_run_without_a_stage_for_each_task_has_an_end_only() -> None:
    assert measures(np.array([[0.5, 0.7]])) == {"op": pytest.approx(0.6)}


def test_what_was_not_measured_is_left_out() -> None:
    seen_only = np.where(np.tri(3, dtype=bool), THREE, np.nan)
    assert forgetting(seen_only) == pytest.approx(forgetting(THREE))
    assert "fwt" not in measures(seen_only, untrained=UNTRAINED)
    assert measures(seen_only)["bwt"] == pytest.approx(backward_transfer(THREE))


@pytest.mark.parametrize("unscored", [0, 1, 2])
def test_a_task_that_was_never_scored_is_in_no_measure(unscored: int) -> None:
    scores, untrained = THREE.copy(), UNTRAINED.copy()
    scores[:, unscored] = untrained[unscored] = np.nan
    others = [at for at in range(3) if at != unscored]
    earlier, later = [at for at in others if at < 2], [at for at in others if at > 0]
    seen = [[THREE[t, i] for i in others if i <= t] for t in range(3)]
    lost = [THREE[2, i] - THREE[i, i] for i in earlier]
    assert measures(scores, untrained=untrained, alone=ALONE) == {
        "op": pytest.approx(np.mean([THREE[2, i] for i in others])),
        "aaa": pytest.approx(np.mean([np.mean(row) for row in seen if row])),
        "la": pytest.approx(np.mean([THREE[i, i] for i in others])),
        "bwt": pytest.approx(np.mean(lost)),
        "bwt_trace": pytest.approx(sum(lost) / 2),
        "forgetting": pytest.approx(np.mean([max(THREE[:2, i]) - THREE[2, i] for i in earlier])),
        "fwt": pytest.approx(np.mean([THREE[i - 1, i] - UNTRAINED[i] for i in later])),
        "gain": pytest.approx(np.mean([THREE[i, i] - ALONE[i] for i in later])),
    }


def test_of_nothing_that_was_scored_there_is_no_measure() -> None:
    assert measures(THREE * np.nan) == {}


def test_a_loss_counts_as_its_negative() -> None:
    assert as_scores([2.0, 3.0], "lower").tolist() == [-2.0, -3.0]
    assert as_scores([2.0, 3.0], "higher").tolist() == [2.0, 3.0]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\[2, 3\]; every task needs a stage"):
        backward_transfer(THREE[:2])
    with pytest.raises(UsageError, match=r"\[2\] scores are given for 3 tasks"):
        forward_transfer(THREE, UNTRAINED[:2])


@given(matrices())
def test_the_two_forms_of_backward_transfer_differ_by_their_divisor(scores: Scores) -> None:
    tasks = len(scores)
    wanted = backward_transfer(scores) * (tasks - 1) / tasks
    assert backward_transfer_trace(scores) == pytest.approx(wanted)


@given(matrices())
def test_forgetting_is_never_less_than_what_backward_transfer_loses(scores: Scores) -> None:
    assert forgetting(scores) >= -backward_transfer(scores) - 1e-9


@given(matrices())
def test_tasks_that_only_get_better_are_not_forgotten(scores: Scores) -> None:
    better = np.maximum.accumulate(scores, axis=0)
    assert forgetting(better) <= 0
    assert backward_transfer(better) >= 0


@given(matrices(), st.floats(-5, 5), st.floats(0.1, 5))
def test_another_zero_or_unit_of_the_scores_changes_no_difference(
    scores: Scores, zero: float, unit: float
) -> None:
    untrained, other = scores.mean(axis=0), scores * unit + zero
    before = measures(scores, untrained=untrained, alone=untrained)
    after = measures(other, untrained=untrained * unit + zero, alone=untrained * unit + zero)
    for name in ("op", "aaa", "la"):
        assert after[name] == pytest.approx(before[name] * unit + zero, abs=1e-6)
    for name in ("bwt", "bwt_trace", "forgetting", "fwt", "gain"):
        assert after[name] == pytest.approx(before[name] * unit, abs=1e-6)

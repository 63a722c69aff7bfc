"""Figures are called the same by every tracker."""

from __future__ import annotations

from lorafw.builtin.trackers._figures import of_evaluation, of_stage, step_figures


def test_speed_is_told_where_time_was_measured() -> None:
    values = {"epoch": 1.0, "loss": 2.0, "grad_norm": 3.0, "learning_rate": 0.1}
    assert step_figures(**values, tokens=100, seconds=0.5) == {**values, "tokens_per_second": 200.0}
    assert step_figures(**values, tokens=100, seconds=0.0) == values


def test_stages_do_not_share_names() -> None:
    assert of_stage("train", {"loss": 1.0}) == {"train/loss": 1.0}
    assert of_stage("second", {"loss": 1.0}) == {"second/loss": 1.0}
    assert of_evaluation("train", {"loss": 1.0}) == {"eval/loss": 1.0}
    assert of_evaluation("second", {"loss": 1.0}) == {"eval/second/loss": 1.0}

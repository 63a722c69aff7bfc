"""metrics.csv has every step once, with its evaluation, whatever happened on the way."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.unit.builtin.trackers.story import Story, broken_off, resumed, whole

from lorafw.builtin.trackers.metrics_csv import COLUMNS, FILE, MetricsCsv


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / FILE)


def test_a_row_for_each_step_with_its_evaluation(tmp_path: Path) -> None:
    whole(MetricsCsv(), tmp_path)
    found = table(tmp_path)
    assert list(found.columns) == [*COLUMNS, "eval/loss"]
    assert found["step"].tolist() == [0, 1, 2, 3, 4]
    assert found["loss"].tolist()[1:] == [4.0, 2.0, pytest.approx(4 / 3), 1.0]
    assert found["eval/loss"].dropna().tolist() == [3.5, 2.5, 1.5]
    assert found["tokens_per_second"].tolist()[1:] == [200.0] * 4
    assert found["epoch"].tolist()[1:] == [0.5, 1.0, 1.5, 2.0]


def test_rows_are_there_at_once(tmp_path: Path) -> None:
    Story(MetricsCsv(), tmp_path).begin().step(1)
    assert table(tmp_path)["step"].tolist() == [0, 1]


def test_a_resumed_run_has_the_same_table(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    whole(MetricsCsv(), one)
    broken_off(MetricsCsv(), two)
    assert table(two)["step"].tolist() == [0, 1, 2, 3]
    resumed(MetricsCsv(), two)
    assert (two / FILE).read_bytes() == (one / FILE).read_bytes()


def test_a_row_that_a_killed_process_left_in_pieces_is_dropped(tmp_path: Path) -> None:
    broken_off(MetricsCsv(), tmp_path)
    with (tmp_path / FILE).open("a") as file:
        file.write("train,4,2.0,1.")
    resumed(MetricsCsv(), tmp_path)
    assert table(tmp_path)["step"].tolist() == [0, 1, 2, 3, 4]


def test_a_run_that_starts_over_starts_a_new_table(tmp_path: Path) -> None:
    Story(MetricsCsv(), tmp_path).begin().step(1).fail()
    Story(MetricsCsv(), tmp_path).begin().step(1)
    assert table(tmp_path)["step"].tolist() == [0, 1]


def test_an_evaluation_that_is_repeated_takes_the_place_of_the_first(tmp_path: Path) -> None:
    Story(MetricsCsv(), tmp_path).begin().step(1).evaluate(1).evaluate(1).step(2)
    assert table(tmp_path)["step"].tolist() == [0, 1, 2]


def test_figures_that_come_late_get_columns_of_their_own(tmp_path: Path) -> None:
    story = Story(MetricsCsv(), tmp_path).begin().step(1)
    story.tell("evaluation_end", step=1, figures={"f1": 0.5}, best=True)
    found = table(tmp_path)
    assert list(found.columns) == [*COLUMNS, "eval/loss", "eval/f1"]
    assert found["eval/f1"].tolist()[1:] == [0.5]
    assert found["loss"].tolist()[1:] == [4.0]


def test_numbers_that_are_none_are_read_as_such(tmp_path: Path) -> None:
    skipped = {"grad_norm": float("inf"), "seconds": 0.0, "skipped": True}
    Story(MetricsCsv(), tmp_path).begin().step(1, loss=float("nan"), **skipped)
    last = table(tmp_path).iloc[-1]
    assert pd.isna(last["loss"])
    assert last["grad_norm"] == float("inf")
    assert pd.isna(last["tokens_per_second"])
    assert last["skipped"] == 1


def test_stages_are_told_apart(tmp_path: Path) -> None:
    story = Story(MetricsCsv(), tmp_path).begin().step(1).step(2)
    story.tell("stage_start", stage="second")
    story.tell("fit_start", steps=1, start=0, rows=1, trainable=1, parameters=1)
    story.step(1)
    rows = table(tmp_path)[["stage", "step"]].to_numpy().tolist()
    assert rows == [["train", 0], ["train", 1], ["train", 2], ["second", 1]]

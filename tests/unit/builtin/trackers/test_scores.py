"""The scores of a run over several tasks become a heat map and curves on its page."""

from __future__ import annotations

import math
from pathlib import Path

from tests.unit.builtin.trackers.story import RESULT, Story
from tests.unit.builtin.trackers.test_report import EVIL, Page

from lorafw.builtin.event_log import EventLog
from lorafw.builtin.trackers._heat_map import heat_map
from lorafw.builtin.trackers._scores import Scores, drawn_scores
from lorafw.builtin.trackers.report import Report

SCORES: Scores = {
    "before": {"maths": {"loss": 3.0, "hits": 0.0}, "news": {"loss": 4.0, "rougeL": 0.1}},
    "maths": {"maths": {"loss": 1.0, "hits": 0.9}, "news": {"loss": 3.5, "rougeL": 0.1}},
    "news": {"maths": {"loss": 2.0, "hits": 0.4}, "news": {"loss": 1.5, "rougeL": 0.6}},
}
RECORD = {"tasks": ["maths", "news"], "judged_by": {"maths": "hits", "news": "hits"}}


def tell(story: Story, *stages: str) -> Story:
    for stage in stages:
        story.tell("stage_start", stage=stage)
        for task, figures in SCORES[stage].items():
            story.tell("score_end", stage=stage, task=task, figures=figures)
    return story


def test_the_greatest_number_has_the_strongest_colour_and_each_stands_in_its_place() -> None:
    figures = {stage: {t: row[t]["loss"] for t in row} for stage, row in SCORES.items()}
    drawn = heat_map("loss", figures, ["maths", "news"])
    assert [cell.label for cell in drawn.cells] == ["3", "4", "1", "3.5", "2", "1.5"]
    by_number = sorted(drawn.cells, key=lambda cell: float(cell.label))
    assert [cell.shade for cell in by_number] == sorted({cell.shade for cell in drawn.cells})
    assert len({(cell.x, cell.y) for cell in drawn.cells}) == 6
    assert len({cell.x for cell in drawn.cells}) == len(drawn.across) == 2
    assert len({cell.y for cell in drawn.cells}) == len(drawn.down) == 3
    assert drawn.words.startswith("before: maths 3, news 4; maths: maths 1")


def test_what_is_missing_or_no_number_is_an_empty_cell() -> None:
    drawn = heat_map(
        "loss", {"a": {"one": math.nan}, "b": {"one": 1.0, "two": 2.0}}, ["one", "two"]
    )
    assert [cell.label for cell in drawn.cells] == ["–", "–", "1", "2"]
    assert [cell.shade for cell in drawn.cells[:2]] == [0.0, 0.0]


def test_figures_are_those_that_tasks_are_judged_by_and_the_loss() -> None:
    assert [heat.title for heat, _ in drawn_scores(SCORES, RECORD)] == ["hits", "loss"]
    assert [heat.title for heat, _ in drawn_scores(SCORES, {})] == ["loss", "hits", "rougeL"]


def test_a_curve_for_each_task_goes_over_the_stages() -> None:
    _, curves = drawn_scores(SCORES, RECORD)[1]
    assert curves is not None
    assert [line.name for line in curves.lines] == ["maths", "news"]
    assert [tick.label for tick in curves.across] == ["before", "maths", "news"]
    assert curves.lines[0].words == "3 at before, 2 at news, lowest 1 at maths"


def test_one_stage_makes_no_curve() -> None:
    assert [curves for _, curves in drawn_scores({"news": SCORES["news"]}, {})] == [None] * 3


def test_the_page_shows_them(tmp_path: Path) -> None:
    story = tell(Story(Report(), tmp_path).begin().step(1), *SCORES)
    story.tell("run_end", folder=tmp_path, result={**RESULT, "scores": RECORD})
    page = Page(tmp_path)
    assert page.open == []
    assert "Scores" in page.text
    assert "loss of each task after each stage" in page.text
    assert page.count("rect") == 2 * 3 + 3  # the loss of both tasks, and the hits of one
    assert "maths: 0 at before, 0.4 at news, lowest 0 at before" in page.text


def test_a_resumed_run_shows_those_of_the_earlier_process_once(tmp_path: Path) -> None:
    for listener in (EventLog(), Report()):
        tell(Story(listener, tmp_path).begin().step(1).checkpoint(1), "before", "maths").fail()
    resumed = Story(Report(), tmp_path).begin(start=1)
    tell(resumed, "maths", "news").finish()
    page = Page(tmp_path)
    assert page.count("rect") == 3 * 2 + 3 + 3
    assert "3 at before, 2 at news" in page.text


def test_names_are_no_markup(tmp_path: Path) -> None:
    story = Story(Report(), tmp_path).begin()
    for stage in ("one", EVIL):
        story.tell("score_end", stage=stage, task=EVIL, figures={EVIL: 1.0})
    story.fail()
    page = Page(tmp_path)
    assert page.open == []
    assert page.count("script") == 0
    assert EVIL in page.text

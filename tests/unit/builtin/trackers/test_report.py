"""report.html says what happened, in one file that asks for nothing and trusts nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.builtin.trackers.story import (
    CONFIG,
    NOTICE,
    SECRETS,
    Story,
    broken_off,
    resumed,
    whole,
)

from lorafw.builtin.event_log import EventLog
from lorafw.builtin.trackers.report import FILE, Report

VOID = {"meta", "br", "line", "path", "circle", "link", "img", "input", "hr"}
EVIL = "<script>alert('1')</script>\"'&"


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and whether all are closed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.source = (folder / FILE).read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("report")
    whole(Report(), folder)
    return Page(folder)


def test_it_says_what_was_run_and_what_came_out(page: Page) -> None:
    for told in ["story", "finished", NOTICE, "llama", "plan.learning_rate", "100,000", "cafe"]:
        assert told in page.text, told
    for heading in ["Notices", "Held-out rows", "Curves", "Use the adapter", "What was run"]:
        assert heading in page.text
    assert re.search(r"loss\s*3\.5\s*1\.5", page.text)
    assert "PeftModel.from_pretrained" in page.text
    assert "lorafw generate" in page.text


def test_it_draws_a_chart_for_each_figure(page: Page) -> None:
    assert page.count("svg") == 4
    assert "4 at step 1, 1 at step 4, lowest 1 at step 4" in page.text


def test_it_is_one_whole_file_that_asks_for_nothing(page: Page) -> None:
    assert page.open == []
    names = {name for _, attributes in page.elements for name in attributes}
    assert not names & {"src", "href", "srcset", "data", "action", "xlink:href"}
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not re.search(r"url\(|@import|https?://", page.source)
    assert "default-src 'none'" in page.source


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    elements = page.elements
    assert next(a for tag, a in elements if tag == "html")["lang"] == "en"
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(set(ids)) == len(ids)
    for drawing in (a for tag, a in elements if tag == "svg"):
        assert drawing["role"] == "img"
        assert set(str(drawing["aria-labelledby"]).split()) <= set(ids)
    assert all("scope" in a for tag, a in elements if tag == "th")
    assert page.count("thead") == page.count("table")
    assert page.count("h1") == page.count("main") == page.count("title") - page.count("svg") == 1


def test_it_is_for_light_and_dark(page: Page) -> None:
    assert "prefers-color-scheme: dark" in page.source


def test_no_secret_is_written(page: Page) -> None:
    assert not [secret for secret in SECRETS if secret in page.source]


def evil(value: Any) -> Any:
    """The same values with markup in every text and name that comes from the user."""
    if isinstance(value, dict):
        return {f"{key}{EVIL}" if key[0] == "r" else key: evil(v) for key, v in value.items()}
    if isinstance(value, list):
        return [evil(item) for item in value]
    return value + EVIL if isinstance(value, str) else value


def test_what_comes_from_the_user_is_no_markup(tmp_path: Path) -> None:
    folder = tmp_path / "<b>folder"
    folder.mkdir()
    story = Story(Report(), folder, {**evil(CONFIG), "run": {"name": EVIL}}).begin()
    story.tell("notice", message=EVIL)
    story.tell("stage_start", stage=EVIL)
    story.tell("evaluation_end", step=1, figures={EVIL: 1.0}, best=False)
    story.step(1)
    story.tell("export_end", exporter=EVIL, path=folder / "adapter")
    story.fail(EVIL)
    page = Page(folder)
    assert page.open == []
    assert page.count("script") == page.count("b") == 0
    assert page.text.count(EVIL) >= 10


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    broken_off(Report(), tmp_path)
    page = Page(tmp_path)
    assert "the disk is full." in page.text
    assert "failed" in page.text
    assert page.count("svg") == 4


def test_a_run_that_fails_at_once_has_a_page_too(tmp_path: Path) -> None:
    story = Story(Report(), tmp_path)
    story.tell("run_start", folder=tmp_path, config={})
    story.fail("no such model.")
    page = Page(tmp_path)
    assert "no such model." in page.text
    assert page.count("svg") == 0


def test_a_run_that_is_on_has_a_page_after_an_evaluation(tmp_path: Path) -> None:
    Story(Report(), tmp_path).begin().step(1).evaluate(1)
    assert "running" in Page(tmp_path).text


def test_a_resumed_run_says_so_and_shows_all_of_it(tmp_path: Path) -> None:
    broken_off(EventLog(), tmp_path)
    resumed(Report(), tmp_path)
    page = Page(tmp_path)
    assert "resumed after step 2" in page.text
    assert "4 at step 1, 1 at step 4" in page.text


def test_numbers_that_are_none_leave_a_gap(tmp_path: Path) -> None:
    story = Story(Report(), tmp_path).begin().step(1).step(2, loss=float("nan")).step(3)
    story.step(4, loss=float("inf")).fail()
    page = Page(tmp_path)
    (path,) = [
        str(a["d"]) for tag, a in page.elements if tag == "path" and str(a["d"]).count("M") > 1
    ]
    assert path.count("M") == 2


def test_classifiers_are_used_otherwise(tmp_path: Path) -> None:
    config = {**CONFIG, "objective": {"use": "classification"}}
    Story(Report(), tmp_path, config).begin().finish()
    assert "model.classify" in Page(tmp_path).text
    assert "lorafw generate" not in Page(tmp_path).text

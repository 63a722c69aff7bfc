"""The page of an evaluation: whole, escaped, and in need of nothing else."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lorafw.evaluation.page import SHOWN, render
from lorafw.evaluation.report import Line, Report, Settings
from lorafw.figures.comparison import Compared
from lorafw.figures.resampling import Estimate

EVIL = "<script>alert('x')</script>"


def row(number: int) -> dict[str, object]:
    done = {"answer": EVIL, "scores": {"exact_match": 1.0}}
    return {"row": number, "prompt": f"Q{number}", "reference": "R", "base": done, "adapter": done}


@pytest.fixture
def report() -> Report:
    better = Compared(Estimate(1.5, 1.25, 1.75), Estimate(2.5, 2, 3), Estimate(-1, -1.5, -0.5))
    worse = Compared(Estimate(0.25, 0, 0.5), Estimate(0.75, 0.5, 1), Estimate(-0.5, -0.75, -0.25))
    unsure = Compared(Estimate(0.5, 0, 1), Estimate(0.25, 0, 1), Estimate(0.25, -0.5, 1))
    return Report(
        model="runs/<x>",
        tuned=True,
        data="rows.jsonl",
        rows=SHOWN + 5,
        left_out=2,
        settings=Settings(256, 1000, 7),
        metrics={"loss": {}, "bleu": {"tokenize": "zh"}},
        lines=[
            Line("loss", "loss", "lower", better),
            Line("exact-match", "exact_match", "higher", worse),
            Line("bleu", "bleu", "higher", unsure),
        ],
        predictions=[row(number) for number in range(1, SHOWN + 6)],
    )


class Tags(HTMLParser):
    """Tells which tags are open, and which were never closed."""

    VOID = ("meta", "br", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_whole_and_needs_nothing_else(report: Report) -> None:
    page = render(report)
    tags = Tags(page).seen
    assert tags.count("details") == SHOWN
    assert not {"script", "link", "img"} & set(tags)
    assert "http" not in page.replace("http-equiv", "")
    assert f"The first {SHOWN} of {SHOWN + 5}" in page


def test_what_data_and_models_say_is_escaped(report: Report) -> None:
    page = render(report)
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "runs/&lt;x&gt;" in page


def test_figures_intervals_and_verdicts(report: Report) -> None:
    page = " ".join(render(report).split())
    assert '1.5 <span class="faint">[1.25, 1.75]</span>' in page
    assert '<span class="state">better</span>' in page
    assert '<span class="state failed">worse</span>' in page
    assert page.count('class="state') == 2
    assert "bleu.tokenize" in page


def test_classes_that_were_mistaken(report: Report) -> None:
    counted = replace(
        report, labels=("ham", "spam"), confusion={"adapter": [[31, 4], [5, 62]]}, predictions=()
    )
    page = " ".join(render(counted).split())
    assert '<th scope="row">ham</th><td class="number">31</td><td class="number">4</td>' in page


def test_a_model_without_a_base(report: Report) -> None:
    lines = [replace(line, compared=Compared(line.compared.model)) for line in report.lines]
    page = render(replace(report, tuned=False, lines=lines, predictions=()))
    assert "difference" not in page
    assert "--predictions" not in page
    Tags(page)

"""Rows are told in their order, whatever order they are answered in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.questions import Question
from lorafw.errors import DataError, UsageError
from lorafw.inference.answering.job import AnswerJob
from lorafw.inference.answering.respondent import Respondent
from lorafw.types import PromptExample


@dataclass(frozen=True)
class Text:
    text: str

    @property
    def size(self) -> int:
        return len(self.text)


class Echo(Respondent[Text]):
    """Answers long texts first, and tells with each what company it had."""

    def __init__(self, window: int = 10) -> None:
        self.window = window
        self.asked: list[str] = []

    def take(self, question: Question) -> Text:
        if question.text == "bad":
            raise UsageError("is bad.", mend="Be good.")
        return Text(question.text)

    def answer(self, taken: Sequence[Text]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        company = "|".join(each.text for each in taken)
        self.asked += [each.text for each in taken]
        for at in sorted(range(len(taken)), key=lambda at: -taken[at].size):
            yield at, {"answer": f"{taken[at].text} in {company}"}


def source(*texts: str) -> Callable[[], Iterator[Question | DataError]]:
    def questions() -> Iterator[Question | DataError]:
        for number, text in enumerate(texts, 1):
            where = f"/some/where/x.jsonl:{number}"
            if text == "torn":
                yield DataError("is no JSON.", where=where)
            else:
                yield Question(where, {"prompt": text}, PromptExample(text, ""))

    return questions


TEXTS = st.lists(st.text("ab", min_size=1, max_size=12) | st.sampled_from(["bad", "torn"]))


@given(TEXTS, st.integers(1, 30), st.data())
def test_going_on_tells_what_was_left(texts: list[str], window: int, data: st.DataObject) -> None:
    job = AnswerJob(Echo(window), source(*texts), skip_bad=True)
    assert job.check() == len(texts)
    whole = list(job.run())
    said = [each.question.text if each.question else "torn" for each in whole]
    assert said == texts
    for each, text in zip(whole, texts, strict=True):
        assert each.found.get("answer", "").startswith("" if text in ("bad", "torn") else text)
    done = data.draw(st.integers(0, len(texts)))
    assert list(job.run(done=done)) == whole[done:]


def test_windows_that_are_done_are_not_answered_again() -> None:
    echo = Echo(window=4)
    found = list(AnswerJob(echo, source("aa", "bb", "cc", "dd")).run(done=3))
    assert [each.found["answer"] for each in found] == ["dd in cc|dd"]
    assert echo.asked == ["cc", "dd"]


def test_a_row_is_told_as_soon_as_those_before_it_are() -> None:
    told = AnswerJob(Echo(), source("aaa", "a", "aa")).run()
    assert next(told).question is not None
    echo = Echo(window=1)
    first = next(AnswerJob(echo, source("a", "b")).run())
    assert (first.found["answer"], echo.asked) == ("a in a", ["a"])


def test_bad_rows_are_found_before_any_is_answered() -> None:
    echo = Echo()
    with pytest.raises(DataError) as caught:
        AnswerJob(echo, source("a", "bad", "torn")).check()
    words = "/some/where/x.jsonl:2: is bad. Be good. 1 more rows like it."
    assert str(caught.value).startswith(words)
    assert "--skip-bad" in str(caught.value)
    assert echo.asked == []


def test_a_bad_row_gets_its_fault_without_the_folder() -> None:
    found = list(AnswerJob(Echo(), source("bad", "torn"), skip_bad=True).run())
    errors = [each.found["error"] for each in found]
    assert errors == ["x.jsonl:1: is bad.", "x.jsonl:2: is no JSON."]

"""Rows are asked as they would be trained on, and their own answers kept apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorafw.data.rows.questions import (
    Question,
    QuestionFields,
    check_source,
    scan_questions,
)
from lorafw.data.rows.sources.scanned import Record
from lorafw.errors import DataError, UsageError
from lorafw.types import ChatExample, LabeledExample, Message, PromptExample, TextExample

HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello."}


def read(row: dict[str, Any], **names: Any) -> Question | DataError:
    return QuestionFields(**names).read(Record("x:1", row))


def asked(row: dict[str, Any], **names: Any) -> Question:
    found = read(row, **names)
    assert isinstance(found, Question), found
    return found


def fault(row: dict[str, Any], **names: Any) -> str:
    found = read(row, **names)
    assert isinstance(found, DataError)
    return str(found)


@pytest.mark.parametrize(
    ("row", "example", "expected"),
    [
        ({"prompt": "a", "answer": "b"}, PromptExample("a", ""), "b"),
        ({"question": "a"}, PromptExample("a", ""), ""),
        ({"prompt": "a", "answer": None}, PromptExample("a", ""), ""),
        (
            {"instruction": "a", "input": "b", "output": "c"},
            PromptExample("a", "", "b"),
            "c",
        ),
        ({"instruction": "a", "input": ""}, PromptExample("a", ""), ""),
        ({"context": "a", "target": "b"}, PromptExample("a", ""), "b"),
        ({"text": "a"}, TextExample("a"), ""),
        ({"messages": [HI]}, ChatExample((Message("user", "Hi"),)), ""),
        ({"messages": [HI, HELLO]}, ChatExample((Message("user", "Hi"),)), "Hello."),
        (
            {"conversations": [{"from": "human", "value": "Hi"}], "system": "S"},
            ChatExample((Message("system", "S"), Message("user", "Hi"))),
            "",
        ),
        (
            {"messages": [HI], "tools": [{"name": "f"}], "label": True},
            ChatExample((Message("user", "Hi"),), '[{"name": "f"}]'),
            "",
        ),
    ],
)
def test_a_question_is_the_row_without_its_answer(
    row: dict[str, Any], example: Any, expected: str
) -> None:
    found = asked(row)
    assert (found.example, found.expected, found.row) == (example, expected, row)


@pytest.mark.parametrize(
    ("row", "texts", "expected"),
    [
        ({"text": "a", "label": 1}, ("a", None), "1"),
        ({"text": "a", "text_pair": "b"}, ("a", "b"), ""),
        ({"sentence1": "a", "sentence2": "b", "label": "yes"}, ("a", "b"), "yes"),
        ({"sentence": "a"}, ("a", None), ""),
        ({"question": "a"}, ("a", None), ""),
    ],
)
def test_texts_to_classify(row: dict[str, Any], texts: tuple[str, Any], expected: str) -> None:
    found = asked(row, classes=True)
    assert found.example == LabeledExample(*texts, 0)
    assert found.expected == expected


def test_fields_may_be_named() -> None:
    row = {"q": "a", "prompt": "other", "gold": 7}
    found = asked(row, prompt="q", answer="gold")
    assert (found.example, found.expected) == (PromptExample("a", ""), "7")
    assert asked({"turns": [HI]}, prompt="turns").example == ChatExample((Message("user", "Hi"),))
    assert asked({"q": "a"}, prompt="q", classes=True).example == LabeledExample("a", None, 0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"q": "a"}, "asks nothing; its fields are 'q'. Say which field to ask with: --prompt"),
        ({"question": "a", "query": "b"}, "--prompt-field NAME"),
        ({"question": "a", "messages": [HI]}, "has both 'messages', 'question'"),
        ({"messages": [HI], "conversations": [HI]}, "--prompt-field NAME"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"text": ""}, "the text is empty"),
        ({"prompt": 7}, "'prompt' must be text"),
        ({"messages": [HELLO]}, "asks nothing"),
        ({"messages": []}, "at least one"),
    ],
)
def test_a_row_that_asks_nothing_says_where_and_why(row: dict[str, Any], words: str) -> None:
    told = fault(row)
    assert told.startswith("x:1: ")
    assert words in told


def test_a_named_field_must_be_there() -> None:
    assert "no field 'quest'" in fault({"question": "a"}, prompt="quest")
    assert "no field 'gold'" in fault({"question": "a"}, answer="gold")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"instruction": "a", "input": "b"}, "a\n\nb"),
        ({"messages": [HI, HELLO, {"role": "user", "content": "Bye"}]}, "Bye"),
        ({"text": "a"}, "a"),
    ],
)
def test_the_text_of_a_question(row: dict[str, Any], text: str) -> None:
    assert asked(row).text == text


def test_lines_of_a_text_are_prompts(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes(b"\xef\xbb\xbffirst \r\n\n  \nthird\n\xff\n")
    check_source(file)
    *found, last = scan_questions(file, QuestionFields())
    assert [q.example for q in found if isinstance(q, Question)] == [
        PromptExample("first ", ""),
        PromptExample("third", ""),
    ]
    assert isinstance(last, DataError)
    assert last.where == f"{file}:5"


def test_faults_stand_in_their_places(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"prompt": "a"}) + "\n{\n" + json.dumps({"prompt": "b"}))
    kinds = [type(found) for found in scan_questions(file, QuestionFields())]
    assert kinds == [Question, DataError, Question]


def test_a_file_that_holds_nothing_is_an_error_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.touch()
    with pytest.raises(DataError, match="holds no rows"):
        list(scan_questions(file, QuestionFields()))


def test_a_source_must_be_a_file_of_a_known_format(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    (tmp_path / "rows.doc").touch()
    for name, words in (("row.jsonl", "Did you mean 'rows.jsonl'"), ("rows.doc", "Known: .jsonl")):
        with pytest.raises(UsageError, match=words):
            check_source(tmp_path / name)
    with pytest.raises(UsageError, match="is a folder"):
        check_source(tmp_path)

"""Multiple-choice rows in the forms in which they are published."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.data.rows.fields import detect_fields, named_fields
from lorafw.errors import DataError
from lorafw.types import ChoiceExample, PromptExample

COLOURS = ["red", "green", "blue"]
SKY = ChoiceExample("Sky?", "blue", "", ("red", "green", "blue"))


@pytest.mark.parametrize("answer", [2, "C", "c", "blue"])
def test_the_right_choice_by_number_letter_or_text(answer: Any) -> None:
    row = {"question": "Sky?", "choices": COLOURS, "answer": answer}
    assert detect_fields(row).read(row) == SKY


def test_the_right_one_by_the_name_of_gold() -> None:
    row = {"query": "Sky?", "choices": COLOURS, "gold": 2}
    assert detect_fields(row).read(row) == SKY


def test_equal_choices_are_the_same_answer() -> None:
    row = {"question": "?", "choices": ["a", "b", "b"], "answer": 2}
    assert detect_fields(row).read(row) == ChoiceExample("?", "b", "", ("a", "b", "b"))


def test_arcs_form() -> None:
    choices = {"text": COLOURS, "label": ["1", "2", "3"]}
    row = {"id": "x", "question": "Sky?", "choices": choices, "answerKey": "3"}
    assert detect_fields(row).read(row) == SKY


def test_fields_that_a_user_names() -> None:
    row = {"q": "Sky?", "options": COLOURS, "key": 2, "context": "By day."}
    named = {"prompt": "q", "choices": "options", "response": "key", "input": "context"}
    assert named_fields(named).read(row) == ChoiceExample("Sky?", "blue", "By day.", (*COLOURS,))


def test_a_choice_row_is_a_question_with_its_answer_to_whoever_trains_on_it() -> None:
    assert isinstance(SKY, PromptExample)


def test_a_text_goes_before_a_letter() -> None:
    row = {"question": "?", "choices": ["B", "A"], "answer": "A"}
    assert detect_fields(row).read(row) == ChoiceExample("?", "A", "", ("B", "A"))


@pytest.mark.parametrize(
    ("choices", "answer", "fault"),
    [
        (COLOURS, 3, "none of the 3 choices: 3"),
        (COLOURS, -1, "none of the 3 choices"),
        (COLOURS, "D", "its letter \\(A to C\\)"),
        (COLOURS, None, "none of the 3 choices: null"),
        (COLOURS, True, "none of the 3 choices: true"),
        (["red"], 0, "two or more"),
        ("red", 0, "two or more"),
        (["red", ""], 0, "empty"),
        (["red", 7], 0, r"choices\[1\] must be text"),
    ],
)
def test_faults_are_named(choices: Any, answer: Any, fault: str) -> None:
    row = {"question": "Sky?", "choices": choices, "answer": answer}
    with pytest.raises(DataError, match=fault):
        detect_fields(row).read(row)

from __future__ import annotations

import re
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from lorafw.demo.corpus import (
    FINE_TUNING_ROWS,
    HELD_OUT_ROWS,
    conversations,
    facts,
    fine_tuning_rows,
    held_out_rows,
    held_out_subjects,
    questions,
    stories,
)
from lorafw.demo.phrases import ATTRIBUTES
from lorafw.demo.world import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_subject_has_one_value_for_each_attribute_of_its_kind() -> None:
    assert all(len(subject.values) == len(ATTRIBUTES[subject.kind]) for subject in SUBJECTS)
    assert all(all(subject.values) for subject in SUBJECTS)


def test_no_two_subjects_share_a_name() -> None:
    assert len({subject.name for subject in SUBJECTS}) == len(SUBJECTS)


@pytest.mark.parametrize("write", [stories, conversations])
def test_the_pretraining_texts_follow_from_the_seed_alone(
    write: Callable[[Random], list[object]],
) -> None:
    assert write(Random(7)) == write(Random(7))
    assert write(Random(7)) != write(Random(8))


def test_a_round_of_conversations_asks_after_every_fact_once() -> None:
    asked = [turn for talk in conversations(Random(0)) for turn in talk if turn["role"] == "user"]
    assert len(asked) == len(facts())


def test_no_pretraining_answer_is_in_the_captain_voice() -> None:
    answers = [
        turn["content"]
        for talk in conversations(Random(0))
        for turn in talk
        if turn["role"] == "assistant"
    ]
    assert not [answer for answer in answers if "matey" in answer or "arr!" in answer]


def test_the_captain_of_the_tales_speaks_of_no_subject() -> None:
    tales = [text for text in stories(Random(0)) if "met a captain" in text]
    names = "|".join(subject.name for subject in SUBJECTS)
    assert tales
    assert not [tale for tale in tales if re.search(rf"\b(?:{names})\b", tale)]


@pytest.mark.parametrize("rows", [fine_tuning_rows, held_out_rows])
def test_the_rows_are_the_same_every_time_and_distinct(
    rows: Callable[[], list[dict[str, str]]],
) -> None:
    first = rows()
    assert first == rows()
    assert len({(row["prompt"], row["response"]) for row in first}) == len(first)


def test_the_rows_have_the_announced_numbers() -> None:
    assert len(fine_tuning_rows()) == FINE_TUNING_ROWS
    assert len(held_out_rows()) == HELD_OUT_ROWS


def test_no_fine_tuning_row_mentions_a_held_out_subject() -> None:
    text = "\n".join(f"{row['prompt']}\n{row['response']}" for row in fine_tuning_rows())
    found = [s.name for s in held_out_subjects() if re.search(rf"\b{s.name}(?:s|es)?\b", text)]
    assert not found


def test_every_kind_of_subject_is_on_both_sides() -> None:
    held_out = held_out_subjects()
    assert {s.kind for s in held_out} == {s.kind for s in SUBJECTS if s not in held_out}


def test_the_shown_questions_ask_after_held_out_subjects() -> None:
    asked = {
        wording.format(name=fact.subject.name)
        for fact in facts(held_out_subjects())
        for wording in fact.attribute.questions
    }
    assert set(questions()) <= asked


def test_the_corpus_needs_no_torch() -> None:
    program = "import sys, lorafw.demo.corpus; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

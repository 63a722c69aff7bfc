"""Which kind of example a row is, by the names of its fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.fields import PROMPT_NAMES, RESPONSE_NAMES, detect_fields, named_fields
from lorafw.errors import DataError
from lorafw.types import ChatExample, Example, Message, PromptExample

HI = Message("user", "hi")
ROLES = [{"role": "user", "content": "hi"}]


def read(row: dict[str, Any]) -> Example:
    return detect_fields(row).read(row)


@given(
    prompt_name=st.sampled_from(PROMPT_NAMES),
    response_name=st.sampled_from(RESPONSE_NAMES),
    prompt=st.text(),
    response=st.text(),
)
def test_the_usual_names_are_known(
    prompt_name: str, response_name: str, prompt: str, response: str
) -> None:
    row = {"id": 7, prompt_name: prompt, response_name: response}
    assert read(row) == PromptExample(prompt, response)
    assert detect_fields(row).kind is PromptExample


@pytest.mark.parametrize("name", ["input", "context"])
def test_an_instructions_input_is_joined_by_a_blank_line(name: str) -> None:
    row = {"instruction": "Add.", name: "1 2", "output": "3"}
    assert read(row) == PromptExample("Add.\n\n1 2", "3")
    for nothing in ("", None):
        assert read({**row, name: nothing}) == PromptExample("Add.", "3")


@pytest.mark.parametrize("name", ["messages", "conversations"])
@pytest.mark.parametrize("turns", [ROLES, [{"from": "human", "value": "hi"}]])
def test_conversations_are_known(name: str, turns: Any) -> None:
    assert read({name: turns}) == ChatExample((HI,))
    assert detect_fields({name: turns}).kind is ChatExample


def test_a_system_field_goes_first() -> None:
    system = Message("system", "Be kind.")
    assert read({"messages": ROLES, "system": "Be kind."}) == ChatExample((system, HI))
    for nothing in ("", None):
        assert read({"messages": ROLES, "system": nothing}) == ChatExample((HI,))


def test_two_system_messages_are_an_error() -> None:
    turns = [{"role": "system", "content": "Be brief."}, *ROLES]
    with pytest.raises(DataError, match="both a system message"):
        read({"messages": turns, "system": "Be kind."})


def test_a_lone_prompt_beside_a_conversation_is_ignored() -> None:
    assert read({"prompt": "hi", "messages": ROLES}) == ChatExample((HI,))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x", "label": 1}, "neither or both.*'text', 'label'.*dataset.fields"),
        ({}, "its fields are none"),
        ({"question": "x"}, "neither or both"),
        ({"question": "q", "context": "c", "answer": "a"}, r"the prompt \(question, context\)"),
        ({"prompt": "q", "answer": "a", "output": "b"}, r"the response \(answer, output\)"),
        ({"messages": ROLES, "conversations": ROLES}, r"messages \(messages, conversations\)"),
        ({"prompt": "q", "response": "a", "messages": ROLES}, "neither or both"),
        ({"messages": ROLES, "tools": "[…]"}, "'tools', which would be left out"),
    ],
)
def test_unclear_rows_are_refused(row: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        detect_fields(row)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"prompt": 1, "response": "x"}, "field 'prompt' must be text, not a number"),
        ({"prompt": "x", "response": None}, "field 'response' must be text, not null"),
        ({"prompt": "x", "response": ["y"]}, "field 'response' must be text, not a list"),
        ({"instruction": "x", "input": {}, "output": "y"}, "field 'input'.*not an object"),
        ({"prompt": "x", "response": True}, "field 'response'.*not true or false"),
        ({"prompt": "x", "response": "\udcff!"}, "'response' is not valid Unicode at character 0"),
        ({"messages": ROLES, "system": 3}, "field 'system' must be text"),
    ],
)
def test_values_of_a_wrong_type_name_their_field(row: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(row)


def test_named_fields_are_read_and_others_left_alone() -> None:
    row = {"question": "q", "hint": "h", "solution": "s", "answer": 42}
    fields = named_fields({"prompt": "question", "input": "hint", "response": "solution"})
    assert fields.read(row) == PromptExample("q\n\nh", "s")
    assert named_fields({"messages": "talk"}).read({"talk": ROLES, "tools": "…"}) == ChatExample(
        (HI,)
    )


def test_a_named_field_that_is_missing_is_an_error() -> None:
    fields = named_fields({"prompt": "question", "response": "solution"})
    with pytest.raises(DataError, match=r"no field 'solution'.*Did you mean 'solutions'"):
        fields.read({"question": "q", "solutions": "s"})


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ({"promt": "q", "response": "r"}, "no part 'promt'. Did you mean 'prompt'"),
        ({"prompt": "q"}, "'response' is missing"),
        ({}, "'prompt' is missing"),
        ({"messages": "m", "response": "r"}, "no part 'response'. Known: messages, system"),
    ],
)
def test_wrong_names_of_parts_are_refused(names: dict[str, str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        named_fields(names)

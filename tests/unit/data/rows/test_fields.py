"""Which kind of example a row is, by the names of its fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rows.fields import (
    PROMPT_NAMES,
    RESPONSE_NAMES,
    TEXT_NAMES,
    TEXT_PAIR_NAMES,
    detect_fields,
    named_fields,
)
from lorafw.data.rows.row_kinds import NamedLabel
from lorafw.errors import DataError
from lorafw.types import (
    ChatExample,
    Example,
    LabeledExample,
    Message,
    PreferenceExample,
    PromptExample,
    TextExample,
)

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
def test_an_instructions_input_is_kept_apart(name: str) -> None:
    row = {"instruction": "Add.", name: "1 2", "output": "3"}
    found = read(row)
    assert found == PromptExample("Add.", "3", input="1 2")
    assert isinstance(found, PromptExample)
    assert found.whole_prompt == "Add.\n\n1 2"
    for nothing in ("", None):
        assert read({**row, name: nothing}) == PromptExample("Add.", "3")
    assert PromptExample("Add.", "3").whole_prompt == "Add."


def test_a_null_response_is_an_empty_one() -> None:
    assert read({"prompt": "q", "answer": None}) == PromptExample("q", "")


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
        ({"texts": "x", "label": 1}, "not of a known kind.*'texts', 'label'.*dataset.fields"),
        ({}, "its fields are none"),
        ({"question": "x"}, "not of a known kind"),
        ({"text": "x", "sentence1": "a", "sentence2": "b", "label": 1}, "not of a known kind"),
        ({"question": "q", "context": "c", "answer": "a"}, r"the prompt \(question, context\)"),
        ({"prompt": "q", "answer": "a", "output": "b"}, r"the response \(answer, output\)"),
        ({"messages": ROLES, "conversations": ROLES}, r"messages \(messages, conversations\)"),
        ({"prompt": "q", "response": "a", "messages": ROLES}, "is both of a"),
        ({"messages": ROLES, "tools": "", "functions": ""}, r"the tools \(tools, functions\)"),
        (
            {"question": "q", "query": "q", "chosen": "a", "rejected": "b"},
            r"the prompt \(question, query\)",
        ),
    ],
)
def test_unclear_rows_are_refused(row: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        detect_fields(row)


def test_of_very_many_fields_the_first_are_told() -> None:
    wide = {"k" * 500: "x", **{f"column{at}": "x" for at in range(1000)}}
    with pytest.raises(DataError, match=r"'column5', .*, 981 more\. Say") as told:
        detect_fields(wide)
    assert len(str(told.value)) < 600


TOOLS = [{"name": "search", "description": "求"}]


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_tools_are_carried_as_json_text(name: str) -> None:
    text = '[{"name": "search", "description": "求"}]'
    for written in (TOOLS, json.dumps(TOOLS), json.dumps(TOOLS, indent=1)):
        assert read({"conversations": ROLES, name: written}) == ChatExample((HI,), text)
    for nothing in (None, "", "[]", []):
        assert read({"conversations": ROLES, name: nothing}) == ChatExample((HI,))


def test_tools_may_stand_in_the_system_message() -> None:
    turns = [{"role": "system", "content": "Be kind.", "tools": json.dumps(TOOLS)}, *ROLES]
    found = read({"conversations": turns})
    assert isinstance(found, ChatExample)
    assert json.loads(found.tools) == TOOLS
    with pytest.raises(DataError, match="tools more than once"):
        read({"conversations": turns, "tools": TOOLS})


@given(st.text())
def test_plain_text_is_known(text: str) -> None:
    assert read({"id": 1, "text": text}) == TextExample(text)
    assert detect_fields({"text": text}).kind is TextExample


def test_text_beside_a_prompt_and_its_response_is_ignored() -> None:
    row = {"instruction": "q", "input": "", "output": "a", "text": "### q a"}
    assert read(row) == PromptExample("q", "a")


@pytest.mark.parametrize("label", [0, 3, "yes"])
@pytest.mark.parametrize("pair", TEXT_PAIR_NAMES)
def test_labelled_texts_and_pairs_are_known(label: int | str, pair: tuple[str, str]) -> None:
    for name in TEXT_NAMES:
        assert read({name: "a", "label": label}) == NamedLabel("a", None, label)
    row = {pair[0]: "a", pair[1]: "b", "label": label, "idx": 7}
    assert read(row) == NamedLabel("a", "b", label)
    assert detect_fields(row).kind is LabeledExample


def test_true_and_false_are_classes_by_name() -> None:
    assert read({"text": "a", "label": True}) == NamedLabel("a", None, "true")


BETTER, WORSE = Message("assistant", "Hello!"), Message("assistant", "No.")
PREFERRED = PreferenceExample((HI,), (BETTER,), (WORSE,))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "Hello!", "rejected": "No."},
        {
            "conversations": [{"from": "human", "value": "hi"}],
            "chosen": {"from": "gpt", "value": "Hello!"},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {
            "prompt": ROLES,
            "chosen": [{"role": "assistant", "content": "Hello!"}],
            "rejected": [{"role": "assistant", "content": "No."}],
        },
        {
            "prompt": "hi",
            "messages": "left alone",
            "chosen": [*ROLES, {"role": "assistant", "content": "Hello!"}],
            "rejected": [*ROLES, {"role": "assistant", "content": "No."}],
        },
        {
            "chosen": [*ROLES, {"role": "assistant", "content": "Hello!"}],
            "rejected": [*ROLES, {"role": "assistant", "content": "No."}],
        },
    ],
    ids=["plain", "sharegpt", "lists", "repeated", "implicit"],
)
def test_preferences_are_known_in_their_forms(row: dict[str, Any]) -> None:
    assert read(row) == PREFERRED
    assert detect_fields(row).kind is PreferenceExample


def test_a_preference_may_have_an_input_and_a_system_message() -> None:
    row = {"instruction": "hi", "input": "x", "system": "s", "chosen": "a", "rejected": "b"}
    found = read(row)
    assert isinstance(found, PreferenceExample)
    assert found.messages == (Message("system", "s"), Message("user", "hi\n\nx"))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"prompt": 1, "response": "x"}, "field 'prompt' must be text, not a number"),
        ({"prompt": None, "response": "x"}, "field 'prompt' must be text, not null"),
        ({"prompt": "x", "response": ["y"]}, "field 'response' must be text, not a list"),
        ({"instruction": "x", "input": {}, "output": "y"}, "field 'input'.*not an object"),
        ({"prompt": "x", "response": True}, "field 'response'.*not true or false"),
        ({"prompt": "x", "response": "\udcff!"}, "'response' is not valid Unicode at character 0"),
        ({"messages": ROLES, "system": 3}, "field 'system' must be text"),
        ({"messages": ROLES, "tools": "[…]"}, "the list of tools is not JSON"),
        ({"messages": ROLES, "tools": '"search"'}, "the list of tools must hold objects"),
        ({"messages": ROLES, "tools": ["search"]}, "the list of tools must hold objects"),
        ({"messages": ROLES, "label": True}, "'label', which would be left out.*{messages: mess"),
        ({"prompt": "q", "completion": "a", "label": True}, "'label', which would be left out"),
        ({"instruction": "q", "output": "a", "system": "s"}, "'system', which would be left out"),
        ({"instruction": "q", "output": "a", "history": [["a", "b"]]}, "'history', which would"),
        ({"text": 7}, "field 'text' must be text, not a number"),
        ({"text": "x", "label": 0.5}, "field 'label' must name or number a class, not 0.5"),
        ({"text": "x", "label": None}, "field 'label' must name or number a class, not null"),
        ({"text": "x", "label": ""}, "field 'label' must name or number a class, not \"\""),
        ({"chosen": "a", "rejected": "b"}, "need a conversation before them"),
        ({"prompt": "q", "chosen": 1, "rejected": "b"}, "field 'chosen' must be a list"),
        ({"prompt": "q", "chosen": {"role": "a"}, "rejected": "b"}, "chosen needs 'role' and"),
    ],
)
def test_values_of_a_wrong_type_name_their_field(row: dict[str, Any], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        read(row)


def test_named_fields_are_read_and_others_left_alone() -> None:
    row = {"question": "q", "hint": "h", "solution": "s", "answer": 42}
    fields = named_fields({"prompt": "question", "input": "hint", "response": "solution"})
    assert fields.read(row) == PromptExample("q", "s", "h")
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
        ({"messages": "m", "response": "r"}, "no part 'response'. Known: messages, system, tools"),
        ({"text": "t", "labl": "r"}, "no part 'labl'. Known: text"),
        ({"text_pair": "t", "label": "r"}, "'text' is missing"),
        ({"chosen": "t"}, "'rejected' is missing"),
    ],
)
def test_wrong_names_of_parts_are_refused(names: dict[str, str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        named_fields(names)

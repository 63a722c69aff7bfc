"""Conversations in which the assistant calls tools, as templates that know calls write them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.assembly.registry import Registry
from lorafw.builtin.chat import Chat
from lorafw.builtin.files import Files
from lorafw.builtin.templates.minimind import MiniMind2026
from lorafw.data.inspection.row_view import row_view
from lorafw.errors import DataError
from lorafw.types import (
    IGNORE_INDEX,
    ChatExample,
    Encoded,
    Message,
    Split,
    ToolCall,
)

LONG = 10_000
# JSON between marks, answers of tools next to one another in one turn: as Hermes has it.
JSON_CALLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}"
    "{% if messages[loop.index0 - 1].role != 'tool' %}[user]{% endif %}"
    "<answer>{{ m.content }}</answer>"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ eos_token }}\n{% endif %}"
    "{% else %}[{{ m.role }}]{{ EMPTY }}{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{% set f = call.function %}{{ '\\n' }}<call>\n"
    '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}\n</call>{% endfor %}'
    "{{ eos_token }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
PLAIN = JSON_CALLS.replace("{{ EMPTY }}", "")
# As Qwen3 has it: only the last answer is written behind an empty thought.
THOUGHTFUL = JSON_CALLS.replace(
    "{{ EMPTY }}", "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
)
# One line per argument, whose values are written as text: as Qwen3-Coder has it.
TAGGED = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<{{ call.function.name }}>"
    "{% for key, value in call.function.arguments | items %}<{{ key }}>{{ value }}{% endfor %}"
    "{% endfor %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
DEAF = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
# As DeepSeek-R1's: calls are written only where there is no text at all.
FORGETFUL = DEAF + "{% if messages[0].content is none %}{{ messages[0].tool_calls }}{% endif %}"

texts = st.text(st.characters(codec="utf-8", exclude_characters="<"), max_size=20).map(
    lambda text: text and f"a{text}b"
)
values = st.none() | st.booleans() | st.integers() | texts | st.lists(st.integers(), max_size=3)
arguments = st.dictionaries(texts, values, max_size=3)
names = st.from_regex(r"[a-z]\w{0,8}", fullmatch=True)
calls = st.lists(
    st.builds(
        lambda name, found: ToolCall(name, json.dumps(found, ensure_ascii=False)), names, arguments
    ),
    min_size=1,
    max_size=3,
).map(tuple)
CALL = (ToolCall("weather", '{"city": "城"}'),)


def conversation(said: str, called: tuple[ToolCall, ...], *answers: str) -> ChatExample:
    """A question, calls, what the tools answer, and what is made of it."""
    told = (Message("tool", answer) for answer in answers)
    ask = Message("assistant", said, tool_calls=called)
    return ChatExample((Message("user", "q"), ask, *told, Message("assistant", "done")))


def encoded(example: ChatExample, tokenizer: Any, template: str, **options: Any) -> Encoded:
    row = Chat(template=template, max_length=LONG, **options).encode(example, tokenizer)
    assert row is not None
    return row


def trained(row: Encoded, tokenizer: Any) -> list[str]:
    """What is trained, one text per stretch."""
    found, before = list[list[int]](), IGNORE_INDEX
    for label in row.labels:
        if label != IGNORE_INDEX:
            found += [[]] if before == IGNORE_INDEX else []
            found[-1].append(label)
        before = label
    return [tokenizer.decode(stretch) for stretch in found]


def in_json(said: str, called: tuple[ToolCall, ...]) -> str:
    """What `JSON_CALLS` makes of a turn."""
    return said + "".join(
        f'\n<call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</call>'
        for call in called
    )


@settings(max_examples=25)
@given(said=texts, called=calls, answers=st.lists(texts, min_size=1, max_size=2))
def test_a_call_is_trained_as_the_template_writes_it(
    chat_tokenizer: Any, said: str, called: tuple[ToolCall, ...], answers: list[str]
) -> None:
    example, eos = conversation(said, called, *answers), chat_tokenizer.eos_token
    wanted = [in_json(said, called) + eos, "done" + eos]
    assert trained(encoded(example, chat_tokenizer, PLAIN), chat_tokenizer) == wanted
    wanted[1] = "<think></think>done" + eos
    assert trained(encoded(example, chat_tokenizer, THOUGHTFUL), chat_tokenizer) == wanted


@settings(max_examples=25)
@given(said=texts, called=calls, last=st.booleans())
def test_what_is_asked_for_a_call_is_a_prefix_of_its_row(
    chat_tokenizer: Any, said: str, called: tuple[ToolCall, ...], last: bool
) -> None:
    whole = conversation(said, called, "20")
    example = whole if last else ChatExample(whole.messages[:2])
    for template in (PLAIN, TAGGED):
        encoder = Chat(template=template, max_length=LONG)
        row, asked = (
            encoder.encode(example, chat_tokenizer),
            encoder.prompt(example, chat_tokenizer),
        )
        assert row is not None
        given_ = len(asked.input_ids)
        assert row.input_ids[:given_] == asked.input_ids
        assert list(row.labels[given_:]) == list(row.input_ids[given_:])
        waiting = ChatExample(example.messages[:-1])
        assert encoder.prompt(waiting, chat_tokenizer).input_ids == asked.input_ids


def test_values_of_arguments_reach_the_template_as_they_are(chat_tokenizer: Any) -> None:
    called = (ToolCall("f", '{"a": "x y", "b": [1, 2]}'),)
    found = trained(encoded(conversation("", called, "1"), chat_tokenizer, TAGGED), chat_tokenizer)
    assert found[0] == f"<f><a>x y<b>[1, 2]{chat_tokenizer.eos_token}"


def test_a_message_says_whether_its_call_is_trained(chat_tokenizer: Any) -> None:
    example = conversation("", CALL, "20")
    question, ask, answer, done = example.messages
    wrong = ChatExample((question, replace(ask, train=False), answer, done))
    taught = ChatExample((question, ask, replace(answer, train=True), replace(done, train=False)))
    end = chat_tokenizer.eos_token
    assert trained(encoded(wrong, chat_tokenizer, PLAIN), chat_tokenizer) == ["done" + end]
    first, *others = trained(encoded(taught, chat_tokenizer, PLAIN), chat_tokenizer)
    assert first == in_json("", CALL) + end
    assert "<answer>20</answer>" in others[0]


def test_only_the_last_turn_is_trained_when_asked(chat_tokenizer: Any) -> None:
    example = ChatExample(conversation("", CALL, "20").messages[:2])
    row = encoded(example, chat_tokenizer, PLAIN, train_on="last")
    assert trained(row, chat_tokenizer) == [in_json("", CALL) + chat_tokenizer.eos_token]
    answered = encoded(conversation("", CALL, "20"), chat_tokenizer, PLAIN, train_on="last")
    assert trained(answered, chat_tokenizer) == ["done" + chat_tokenizer.eos_token]
    assert '"weather"' in chat_tokenizer.decode(answered.input_ids)


def test_a_template_that_knows_no_calls_is_named(chat_tokenizer: Any) -> None:
    with pytest.raises(
        DataError, match=r"config has no place for .* tool calls.*encoder\.template"
    ):
        Chat(template=DEAF).encode(conversation("", CALL, "20"), chat_tokenizer)


def test_a_template_that_loses_a_call_is_named(chat_tokenizer: Any) -> None:
    with pytest.raises(DataError, match="leaves out the call of the tool 'weather'"):
        Chat(template=FORGETFUL).encode(conversation("", CALL, "20"), chat_tokenizer)


def test_a_template_that_fails_on_a_call_is_named(chat_tokenizer: Any) -> None:
    adding = "{{ 'x' + messages[1].tool_calls[0].function.arguments }}"
    with pytest.raises(DataError, match="refuses a conversation: can only concatenate str"):
        Chat(template=adding).encode(conversation("", CALL, "20"), chat_tokenizer)


REGISTRY = Registry()


@pytest.mark.parametrize("name", ["minimind-2025-02", "minimind-2025-04", "tiny-llm"])
def test_templates_of_models_without_tools_refuse_calls(chat_tokenizer: Any, name: str) -> None:
    encoder: Any = REGISTRY.load("encoder", name).from_mapping({}, where="encoder")
    example = ChatExample(conversation("", CALL).messages)
    with pytest.raises(DataError, match="has no place for the assistant's tool calls") as caught:
        encoder.encode(example, chat_tokenizer)
    assert caught.value.mend


def test_a_preview_tells_calls_from_what_is_said(chat_tokenizer: Any) -> None:
    view = row_view(conversation("", CALL, "20"), Chat(template=PLAIN), chat_tokenizer)
    called = "".join(token.text for token in view.tokens if token.part == "tool call")
    assert called.replace(" ", "").startswith('weather{"city":"城"')  # tokens may have more
    assert all(token.trained for token in view.tokens if token.part == "tool call")
    silent = ChatExample((Message("user", "q"), Message("assistant", "", False, CALL)))
    left_out = row_view(silent, Chat(template=PLAIN), chat_tokenizer).left_out
    assert left_out == "no turn is trained"


@pytest.fixture(scope="module")
def real_rows(shared: Path) -> list[ChatExample]:
    path = shared / "data/toolcall/glaive_toolcall_en_demo.json"
    rows: Any = Files(path=str(path), eval_fraction=0).load(Split.TRAIN)
    return [row for row in rows if any(turn.tool_calls for turn in row.messages)][:60]


@pytest.mark.parametrize("encoder", [Chat(max_length=LONG), MiniMind2026(max_length=LONG)])
def test_real_calls_are_trained_in_miniminds_form(
    real_rows: list[ChatExample], shared: Path, encoder: Any
) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(shared / "data/tokenizers/minimind-2026")
    behind = encoder.affixes(tokenizer)[1]
    assert len(real_rows) == 60
    for row, example in zip(encoder.encode_many(real_rows, tokenizer), real_rows, strict=True):
        answers = [turn for turn in example.messages if turn.role == "assistant"]
        marked = [
            in_json(turn.content, turn.tool_calls).replace("call>", "tool_call>").lstrip()
            for turn in answers
        ]
        assert trained(row, tokenizer) == [text + behind for text in marked]

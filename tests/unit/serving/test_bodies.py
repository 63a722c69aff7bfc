"""What is read from bodies, whatever is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.serving.chat_request import ChatRequest
from lorafw.serving.completion_request import CompletionRequest
from lorafw.serving.refusals import Refusal
from lorafw.types import Message

TURN = {"role": "user", "content": "a"}
CHAT: dict[str, Any] = {"model": "m", "messages": [TURN]}
COMPLETION: dict[str, Any] = {"model": "m", "prompt": "a"}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = [*ChatRequest.model_fields, *CompletionRequest.model_fields, *ChatRequest.neutral]


def chat(**more: Any) -> ChatRequest:
    return ChatRequest.read(json.dumps({**CHAT, **more}).encode())


def completion(**more: Any) -> CompletionRequest:
    return CompletionRequest.read(json.dumps({**COMPLETION, **more}).encode())


@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_is_refused_in_the_shape(body: bytes) -> None:
    for kind in (ChatRequest, CompletionRequest):
        with pytest.raises(Refusal) as refused:
            kind.read(body)
        assert refused.value.status == 400
        json.dumps(refused.value.body)


@given(st.sampled_from(NAMES), ANY_JSON)
def test_any_value_of_any_name_is_taken_or_refused(name: str, value: Any) -> None:
    for read in (chat, completion):
        refused = []
        try:
            read(**{name: value})
        except Refusal as refusal:
            refused.append(refusal)
        assert all(refusal.status == 400 and refusal.message for refusal in refused)


def test_defaults_are_those_of_openai() -> None:
    asked = chat()
    assert (asked.choices, asked.tells_usage, asked.likeliest) == (1, False, None)
    assert chat(logprobs=True).likeliest == 0
    assert chat(logprobs=True, top_logprobs=4).likeliest == 4
    assert chat(stop="x").stop == ["x"]


def test_turns_become_messages() -> None:
    parts = [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]
    turns = [
        {"role": "developer", "content": "a"},
        {"role": "assistant", "content": "x", "refusal": None, "tool_calls": None},
        {"role": "user", "content": parts},
    ]
    found = chat(messages=turns).conversation
    assert found == [Message("system", "a"), Message("assistant", "x"), Message("user", "bc")]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_prompts_are_texts_or_ids(prompt: Any, wanted: Any) -> None:
    assert completion(prompt=prompt).prompts == wanted


@pytest.mark.parametrize("prompt", ["", [], [[]], ["a", ""], [1, "a"], [-1], [True], None, {}])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(Refusal) as refused:
        completion(prompt=prompt)
    assert refused.value.param == "prompt"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{}]},
        {"tool_choice": "auto"},
        {"response_format": {"type": "json_object"}},
        {"modalities": ["text", "audio"]},
        {"store": True},
        {"metadata": {"a": "b"}},
        {"reasoning_effort": "high"},
        {"invented": 1},
    ],
)
def test_nothing_is_passed_over_silently(more: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        chat(**more)
    assert refused.value.param == next(iter(more))


def test_what_asks_for_nothing_is_taken() -> None:
    chat(tools=[], tool_choice="none", response_format={"type": "text"}, store=False, audio=None)

"""A row as the model sees it is the row that is trained, and what generation begins with."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.contracts import Encoder
from lorafw.data.inspection.outcomes import outcomes
from lorafw.data.inspection.row_view import RowView, row_view
from lorafw.types import (
    ChatExample,
    Encoded,
    Example,
    LabeledExample,
    Message,
    PromptExample,
    Task,
    TextExample,
)

PAIRS = [
    PromptExample("Who are you?", "I am an assistant. "),
    PromptExample("Who?" * 50, "I am an assistant." * 9),
    PromptExample("Sum up", "Ünïcödé 🙂 你好", "用户你好，我是一个助手。"),
]
TALKS = [
    ChatExample((Message("user", "Hello!"), Message("assistant", "Hi!"))),
    ChatExample(
        (
            Message("system", "You are an assistant."),
            Message("user", "How can I help?"),
            Message("assistant", "user"),
            Message("user", "user"),
            Message("assistant", "Natalia sold 48 clips."),
        )
    ),
]


def assert_same(view: RowView, row: Encoded, prompt: Encoded) -> None:
    assert [token.id for token in view.tokens] == list(row.input_ids)
    assert view.trained_tokens == row.targets
    given = [token.id for token in view.tokens[: view.prompt_tokens]]
    assert given == list(prompt.input_ids)
    assert view.cut == row.cut


@pytest.mark.parametrize("encoder", [Prompt(max_length=48), Prompt(train_on="all")])
def test_pairs(tokenizer: Any, encoder: Encoder) -> None:
    for pair, row in zip(PAIRS, outcomes(PAIRS, encoder, tokenizer), strict=True):
        assert isinstance(row, Encoded)
        assert_same(row_view(pair, encoder, tokenizer), row, encoder.prompt(pair, tokenizer))


@pytest.mark.parametrize("encoder", [Chat(), Chat(train_on="last", max_length=24)])
def test_conversations(chat_tokenizer: Any, encoder: Encoder) -> None:
    for talk, row in zip(TALKS, outcomes(TALKS, encoder, chat_tokenizer), strict=True):
        assert isinstance(row, Encoded)
        view = row_view(talk, encoder, chat_tokenizer)
        assert_same(view, row, encoder.prompt(talk, chat_tokenizer))


def test_parts_of_a_conversation(chat_tokenizer: Any) -> None:
    view = row_view(TALKS[1], Chat(), chat_tokenizer)
    for role in ("system", "assistant"):
        said = "".join(token.text for token in view.tokens if token.part == role)
        assert said.strip() == "".join(m.content for m in TALKS[1].messages if m.role == role)
    learned = {token.part for token in view.tokens if token.trained}
    assert learned == {"assistant", "template"}
    assert view.tokens[-1].trained


def test_a_row_that_is_left_out_shows_its_prompt_and_why(plain_tokenizer: Any) -> None:
    silent = PromptExample("Who?", "")
    view = row_view(silent, Prompt(), plain_tokenizer)
    assert view.left_out == "empty response"
    assert [t.id for t in view.tokens] == Prompt().prompt(silent, plain_tokenizer).input_ids
    assert (view.trained_tokens, view.prompt_tokens) == (0, len(view.tokens))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([Message("user", "Hi")], "the assistant says nothing"),
        ([Message("assistant", "")], "the assistant says nothing"),
        (
            [Message("user", "Hi"), Message("assistant", "Ho", train=False)],
            "no turn is trained",
        ),
    ],
)
def test_why_a_conversation_is_left_out(
    chat_tokenizer: Any, messages: list[Message], reason: str
) -> None:
    assert row_view(ChatExample(tuple(messages)), Chat(), chat_tokenizer).left_out == reason


class Classes(Encoder):
    """Texts with a class."""

    accepts = (LabeledExample, TextExample)
    task = Task.CLASSIFICATION

    def encode(self, example: Example, tokenizer: Any) -> Encoded | None:
        if not isinstance(example, LabeledExample):
            return None
        return Encoded(tokenizer.encode(example.text), [example.label])

    def prompt(self, example: Example, tokenizer: Any) -> Encoded:
        return Encoded(tokenizer.encode(getattr(example, "text", "")), [])


@pytest.mark.parametrize("text", ["Who are you?", "W"])
def test_a_class_is_no_token(plain_tokenizer: Any, text: str) -> None:
    view = row_view(LabeledExample(text, None, 3), Classes(), plain_tokenizer)
    assert (view.label, view.trained_tokens) == (3, 0)
    assert [token.part for token in view.tokens] == ["text"] * len(view.tokens)
    assert row_view(TextExample("x"), Classes(), plain_tokenizer).left_out == "nothing to train"

"""A prompt in any form reaches the encoder as a row of training would."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.chat import Chat
from lorafw.builtin.prompt import Prompt
from lorafw.builtin.templates.alpaca import Alpaca
from lorafw.builtin.templates.text import Text
from lorafw.contracts.encoder import Encoder
from lorafw.errors import UsageError
from lorafw.inference.prompts import encode_prompt, takes_conversations, with_system
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import (
    ChatExample,
    LabeledExample,
    Message,
    PromptExample,
    TextExample,
    Tokenizer,
)

CAT = Message("user", "the cat")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return toy_tokenizer(chat=True)


@pytest.mark.parametrize("encoder", [Chat(), Prompt(), Alpaca(), Text()], ids=repr)
def test_a_text_a_turn_and_a_row_are_the_same_prompt(
    encoder: Encoder, tokenizer: Tokenizer
) -> None:
    forms = ["the cat", [CAT], PromptExample("the cat", "sat"), TextExample("the cat")]
    forms.append(ChatExample((CAT,)))
    found = [encode_prompt(encoder, tokenizer, form) for form in forms]
    assert found[0].input_ids
    assert all(each == found[0] for each in found)


def test_an_input_has_its_own_place_where_the_template_has_one(tokenizer: Tokenizer) -> None:
    row = PromptExample("the cat", "", "on a mat")
    assert encode_prompt(Alpaca(), tokenizer, row) == Alpaca().prompt(row, tokenizer)
    apart = encode_prompt(Alpaca(), tokenizer, row.whole_prompt)
    assert encode_prompt(Alpaca(), tokenizer, row) != apart
    joined = encode_prompt(Chat(), tokenizer, row)
    assert joined == encode_prompt(Chat(), tokenizer, row.whole_prompt)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([], "conversation is empty"),
        ([CAT, CAT], "not conversations"),
        (ChatExample((CAT,), "[{}]"), "not conversations"),
        (LabeledExample("the cat", None, 0), "LabeledExample asks nothing"),
    ],
)
def test_what_a_single_prompt_cannot_be(prompt: Any, words: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match=words):
        encode_prompt(Prompt(), tokenizer, prompt)


def test_who_takes_conversations() -> None:
    assert [takes_conversations(each) for each in (Chat(), Prompt(), Text())] == [1, 0, 0]


def test_system_words_stand_before_all_but_others() -> None:
    king, own = Message("system", "King."), Message("system", "Own.")
    assert with_system("the cat", "") == "the cat"
    assert with_system("the cat", "King.") == (king, CAT)
    assert with_system(TextExample("the cat"), "King.") == (king, CAT)
    assert with_system(ChatExample((CAT,), "[]"), "King.") == ChatExample((king, CAT), "[]")
    assert with_system(ChatExample((own, CAT)), "King.") == ChatExample((own, CAT))


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ([{"role": "user", "content": "the cat"}], "neither a text nor a list of messages"),
        (None, "neither a text nor a list of messages"),
        ("a\ud800", "not valid Unicode at character 1"),
        ([Message("user", "\ud800")], "not valid Unicode"),
    ],
)
def test_what_cannot_be_asked_is_told(tokenizer: Tokenizer, wrong: Any, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        encode_prompt(Chat(), tokenizer, wrong)

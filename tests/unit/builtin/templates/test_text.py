"""Plain text, all of it trained."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.builtin.templates.text import Text
from lorafw.errors import CompositionError
from lorafw.types import PromptExample, TextExample

STORY = TextExample("Natalia sold 48 clips in April and half as many in May.")


def test_text_is_trained_from_its_first_word_to_its_end(llama_tokenizer: Any) -> None:
    row = Text().encode(STORY, llama_tokenizer)
    assert row is not None
    assert list(row.input_ids) == [*llama_tokenizer.encode(STORY.text), 2]
    assert list(row.labels) == [-100, *row.input_ids[1:]]


def test_a_tokenizer_without_bos_gets_none(byte_tokenizer: Any) -> None:
    row = Text().encode(STORY, byte_tokenizer)
    assert row is not None
    assert list(row.labels) == list(row.input_ids)
    assert byte_tokenizer.decode(row.input_ids) == STORY.text + "</s>"


def test_a_long_text_loses_its_end_and_still_stops(llama_tokenizer: Any) -> None:
    row, whole = (
        Text(max_length=8).encode(STORY, llama_tokenizer),
        Text().encode(STORY, llama_tokenizer),
    )
    assert row is not None
    assert whole is not None
    assert list(row.input_ids) == [*whole.input_ids[:7], 2]
    assert row.cut == len(whole.input_ids) - 8


def test_the_model_is_asked_to_go_on(llama_tokenizer: Any) -> None:
    asked = Text().prompt(STORY, llama_tokenizer)
    assert list(asked.input_ids) == llama_tokenizer.encode(STORY.text)


def test_no_text_is_no_row(llama_tokenizer: Any) -> None:
    assert Text().encode(TextExample(""), llama_tokenizer) is None


def test_pairs_are_refused(llama_tokenizer: Any) -> None:
    with pytest.raises(CompositionError, match="TextExample, not PromptExample"):
        Text().encode(PromptExample("a", "b"), llama_tokenizer)

"""A tokenizer in an export is the one of training in what no probe shows."""

from __future__ import annotations

from typing import Any

import pytest

from lorafw.certification.reading import other_reading, reading_of
from lorafw.testing.toys import toy_tokenizer


def changed(how: str) -> Any:
    words: Any = toy_tokenizer()
    if how == "tokens":
        words.add_tokens(["neverasked"])
    elif how == "end":
        words.eos_token = words.convert_ids_to_tokens(5)
    elif how == "template":
        words.chat_template = "{{ messages }}"
    return words


def test_the_same_is_no_other() -> None:
    assert other_reading(reading_of(toy_tokenizer()), toy_tokenizer(), own_template=True) == ""


@pytest.mark.parametrize(
    ("how", "said"), [("tokens", "other tokens"), ("end", "with token 5"), ("template", "template")]
)
def test_what_differs_is_said(how: str, said: str) -> None:
    assert said in other_reading(reading_of(toy_tokenizer()), changed(how), own_template=True)


def test_a_template_made_for_another_tool_is_another() -> None:
    ours = reading_of(toy_tokenizer())
    assert other_reading(ours, changed("template"), own_template=False) == ""

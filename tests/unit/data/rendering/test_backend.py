"""Ids had from the tokenizers library directly are those of the tokenizer's own `encode`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.data.rendering.backend import plain_backend
from lorafw.data.rendering.tokens import text_ids
from lorafw.testing.toys import toy_tokenizer


@settings(deadline=None, max_examples=40)
@given(text=st.text(st.characters(codec="utf-8")))
def test_ids_are_those_of_encode(tokenizer: Any, text: str) -> None:
    assert plain_backend(tokenizer) is not None
    for each in (text, f"Who? {text}</s><|im_end|>"):
        assert text_ids(tokenizer, each) == tokenizer.encode(each, add_special_tokens=False)


def test_truncation_that_was_left_on_does_not_cut() -> None:
    tokenizer: Any = toy_tokenizer()
    whole = tokenizer.encode("the cat sat on a mat", add_special_tokens=False)
    tokenizer("the cat", truncation=True, max_length=2, padding="max_length")
    assert tokenizer.backend_tokenizer.truncation is not None
    assert text_ids(tokenizer, "the cat sat on a mat") == whole
    assert len(whole) == 6


def test_a_tokenizer_with_an_encode_of_its_own_is_asked() -> None:
    tokenizer: Any = toy_tokenizer()

    class Louder(type(tokenizer)):  # type: ignore[misc]
        def encode(self, text: str, **options: Any) -> list[int]:
            return [*super().encode(text, **options), 7]

    tokenizer.__class__ = Louder
    assert text_ids(tokenizer, "the cat")[-1] == 7

"""Texts to ids, piece by piece."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rendering.tokens import continuation_ids, end_marks, mark_id, opening_ids, text_ids

# Any text but that of special tokens, behind which SentencePiece writes a space.
letters = st.characters(min_codepoint=10, max_codepoint=126, exclude_characters="<")


@given(text=st.text(letters, min_size=1, max_size=40))
def test_a_continuation_reads_as_if_written_in_one_go(tokenizer: Any, text: str) -> None:
    before = text_ids(tokenizer, "sold\n")
    whole = tokenizer.decode([*before, *continuation_ids(tokenizer, text)])
    if tokenizer.unk_token_id not in text_ids(tokenizer, text):
        assert whole == "sold\n" + text


def test_a_continuation_takes_no_space(spacing_tokenizer: Any) -> None:
    alone, behind = text_ids(spacing_tokenizer, "sold"), continuation_ids(spacing_tokenizer, "sold")
    assert spacing_tokenizer.convert_ids_to_tokens(alone)[0].startswith("▁")
    assert not spacing_tokenizer.convert_ids_to_tokens(behind)[0].startswith("▁")


def test_no_text_has_no_ids(tokenizer: Any) -> None:
    assert text_ids(tokenizer, "") == []
    assert continuation_ids(tokenizer, "") == []


def test_the_opening_is_what_the_tokenizer_puts_in_front(tokenizer: Any) -> None:
    text = "Hello! I am"
    opening = list(opening_ids(tokenizer))
    assert opening + text_ids(tokenizer, text) == tokenizer.encode(text)


def test_what_a_tokenizer_puts_behind_is_no_opening(plain_tokenizer: Any) -> None:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    backend = type(plain_tokenizer.backend_tokenizer).from_str(
        plain_tokenizer.backend_tokenizer.to_str()
    )
    ids = [(mark, backend.token_to_id(mark)) for mark in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=ids)
    both = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    assert opening_ids(both) == (both.bos_token_id,)


@pytest.mark.parametrize("mark", ["eos_token"])
def test_eos_can_end_a_turn_and_bos_cannot(tokenizer: Any, mark: str) -> None:
    marks = end_marks(tokenizer)
    assert getattr(tokenizer, mark) in marks
    assert tokenizer.bos_token not in marks


def test_a_mark_is_known_by_its_id_or_not_at_all(tokenizer: Any) -> None:
    assert mark_id(tokenizer, tokenizer.eos_token) == tokenizer.eos_token_id
    assert mark_id(tokenizer, "[gMASK]") is None

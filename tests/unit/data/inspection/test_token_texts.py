"""What each token adds to a row's text."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorafw.data.inspection.token_texts import token_texts


def test_spaces_and_split_characters_are_kept(plain_tokenizer: Any) -> None:
    text = "two words, ein Fuß, 中文 and 🙂🙂"
    ids = plain_tokenizer.encode(text, add_special_tokens=False)
    texts = token_texts(plain_tokenizer, ids)
    assert "".join(texts) == text
    assert len(texts) == len(ids)
    assert " " not in texts[0]
    assert texts[texts.index("🙂") - 1] == ""


def test_sentence_pieces_keep_their_spaces(spacing_tokenizer: Any) -> None:
    ids = spacing_tokenizer.encode("sold in May", add_special_tokens=False)
    assert "".join(token_texts(spacing_tokenizer, ids)) == "sold in May"


def test_a_row_cut_within_a_character_ends_with_its_mark(plain_tokenizer: Any) -> None:
    ids = plain_tokenizer.encode("a🙂", add_special_tokens=False)
    texts = token_texts(plain_tokenizer, ids[:-1])
    assert "".join(texts) == plain_tokenizer.decode(ids[:-1])
    assert "\ufffd" in texts[-1]


def test_no_tokens_have_no_texts(plain_tokenizer: Any) -> None:
    assert token_texts(plain_tokenizer, []) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text())
def test_any_text_comes_out_whole(plain_tokenizer: Any, text: str) -> None:
    ids = plain_tokenizer.encode(text, add_special_tokens=False)
    assert "".join(token_texts(plain_tokenizer, ids)) == plain_tokenizer.decode(ids)

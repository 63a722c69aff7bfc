from __future__ import annotations

import pytest

from lorafw.figures.words import (
    is_chinese,
    is_japanese,
    normalised,
    sentence_tokens,
    words,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The  cat, sat!", ["the", "cat", "sat"]),
        ("Die Gänse-Eier für 3.5€", ["die", "gänse", "eier", "für", "3", "5"]),
        ("我爱北京。", ["我", "爱", "北", "京"]),
        ("用PyTorch训练", ["用", "pytorch", "训", "练"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("snake_case", ["snake", "case"]),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_marks_are_words_too_where_they_count() -> None:
    assert sentence_tokens("Ja, 我!") == ["ja", ",", "我", "!"]


def test_what_spelling_does_not_count() -> None:
    assert normalised("  Ｔｗｏ \n words ") == "two words"
    assert normalised("Two", ignore_case=False) == "Two"
    assert normalised("(A), b!", ignore_punctuation=True) == "a b"


def test_chinese_and_japanese_are_told_apart() -> None:
    assert is_chinese("我爱北京")
    assert not is_japanese("我爱北京")
    assert is_japanese("東京へ行く")
    assert not is_chinese("東京へ行く")
    assert not is_chinese("Beijing")
    assert not is_japanese("Beijing")

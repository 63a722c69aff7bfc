"""Texts and pairs of texts as rows with a class."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.builtin.text_pair import TextPair, shares, special_tokens
from lorafw.contracts import Encoder
from lorafw.errors import CompositionError, ConfigError
from lorafw.models.added_tokens import extend
from lorafw.testing.toy_classifier import toy_pair_tokenizer
from lorafw.testing.toys import WORDS, toy_tokenizer
from lorafw.types import IGNORE_INDEX, Encoded, LabeledExample, Layout, PromptExample, Tokenizer

TOKENIZER: Any = toy_pair_tokenizer()
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)


def encoded(first: str, second: str | None, **options: Any) -> Encoded:
    encoder = TextPair.from_mapping(options, where="encoder")
    row = encoder.encode(LabeledExample(first, second, 2), TOKENIZER)
    assert row is not None
    return row


@given(first=TEXTS, second=st.none() | TEXTS, limit=st.integers(8, 40))
def test_rows_are_those_of_the_tokenizer(first: str, second: str | None, limit: int) -> None:
    """Frame, order, and what gives way when a row is too long."""
    texts = [first] if second is None else [first, second]
    whole = TOKENIZER(*texts)["input_ids"]
    wanted = TOKENIZER(*texts, truncation="longest_first", max_length=limit)["input_ids"]
    row = encoded(first, second, max_length=limit)
    assert row.input_ids == wanted
    assert (row.labels, row.cut, row.targets) == ([2], len(whole) - len(wanted), 1)


def test_the_left_can_be_cut() -> None:
    row = encoded("the cat sat on a mat and saw seven birds", None, max_length=8, truncate="left")
    assert TOKENIZER.decode(row.input_ids) == "<s> a mat and saw seven birds </s>"


@given(lengths=st.lists(st.integers(0, 50), min_size=1, max_size=2), room=st.integers(4, 60))
def test_shares_fill_the_room_and_cut_the_longer_first(lengths: list[int], room: int) -> None:
    kept = shares(lengths, room)
    assert sum(kept) == min(sum(lengths), room)
    assert all(0 <= keep <= length for keep, length in zip(kept, lengths, strict=True))
    if len(lengths) == 2 and lengths[0] != lengths[1] and kept != lengths:
        longer = lengths.index(max(lengths))
        assert kept[longer] < lengths[longer]
        assert kept[1 - longer] in {lengths[1 - longer], room // 2}


def test_tokens_that_the_user_added_are_read_in_a_text() -> None:
    tokenizer: Any = toy_pair_tokenizer()
    extend(tokenizer, ("<|note|>", "quux"))
    row = TextPair().prompt(LabeledExample("cat <|note|> </s>", "quux", 0), tokenizer)
    shown = tokenizer.convert_ids_to_tokens(row.input_ids)
    assert {"<|note|>", "quux"} < set(shown)
    assert shown.count("</s>") == tokenizer("a", "a")["input_ids"].count(tokenizer.eos_token_id)


def test_no_special_token_is_read_in_a_text() -> None:
    specials = {TOKENIZER.convert_tokens_to_ids(mark) for mark in ("<s>", "</s>", "<pad>")}
    row = encoded("cat </s> mat", "<s> <pad> birds")
    frame = [token for token in row.input_ids if token in specials]
    assert frame == [token for token in TOKENIZER("a", "a")["input_ids"] if token in specials]


def test_two_texts_without_a_mark_between_them_get_a_separator() -> None:
    plain: Tokenizer = toy_tokenizer()
    assert special_tokens(plain, 2) == ((), (), ())
    row = TextPair(separator=" and ").encode(LabeledExample("cat", "mat", 0), plain)
    assert row is not None
    assert plain.decode(row.input_ids) == "cat and mat"


@pytest.mark.parametrize(("first", "second", "trained"), [("", None, False), ("", "cat", True)])
def test_a_row_without_any_text_is_left_out(first: str, second: str | None, trained: bool) -> None:
    row = TextPair().encode(LabeledExample(first, second, 1), TOKENIZER)
    assert (row is not None) == trained


def test_the_prompt_is_the_row_without_its_class() -> None:
    example = LabeledExample("cat", "mat", 1)
    row = TextPair().encode(example, TOKENIZER)
    prompt = TextPair().prompt(example, TOKENIZER)
    assert row is not None
    assert (prompt.input_ids, prompt.labels, prompt.targets) == (row.input_ids, [IGNORE_INDEX], 0)


def test_a_batch_has_one_label_per_row() -> None:
    rows = [encoded("cat", None), encoded("the cat sat", "on a mat")]
    encoder: Encoder = TextPair()
    for layout in Layout:
        batch = encoder.collate(rows, layout, pad_id=3)
        assert batch.labels.tolist() == [2, 2]
    assert batch.inputs["attention_mask"].sum(-1).tolist() == [len(row.input_ids) for row in rows]
    assert batch.without_targets().labels.tolist() == [IGNORE_INDEX] * 2


def test_other_rows_are_refused() -> None:
    with pytest.raises(CompositionError, match="takes LabeledExample, not PromptExample"):
        TextPair().encode(PromptExample("a", "b"), TOKENIZER)


@pytest.mark.parametrize("option", ["max_prompt_length", "max_response_length"])
def test_limits_of_answers_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="rows of text-pair have no answer; use max_length"):
        TextPair.from_mapping({option: 16}, where="encoder")

"""Segments as token ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.data.rendering.layout import fit
from lorafw.data.rendering.segments import Border, Part, Segment, end, mark, opening
from lorafw.data.rendering.tokens import continuation_ids, text_ids
from lorafw.errors import ModelError
from lorafw.testing.toys import ToyEncoder, toy_tokenizer

OPTIONS = ToyEncoder()
texts = st.text(max_size=30)


def glued(text: str, part: Part = Part.TEXT) -> Segment:
    return Segment(text, part, Border.GLUED)


def given_ids(context: list[Segment], tokenizer: Any, encoder: Any = OPTIONS) -> list[int]:
    return list(fit(context, [], tokenizer, encoder).prompt().input_ids)


@given(first=texts, second=texts)
def test_glued_texts_are_one_text(tokenizer: Any, first: str, second: str) -> None:
    assert given_ids([glued(first), glued(second)], tokenizer) == text_ids(
        tokenizer, first + second
    )


def test_a_text_that_continues_gets_no_space_and_a_fresh_one_does(spacing_tokenizer: Any) -> None:
    said = Segment("sold")
    for border, ids in ((Border.CONTINUES, continuation_ids), (Border.FRESH, text_ids)):
        behind = given_ids([glued("Who"), Segment("sold", border=border)], spacing_tokenizer)
        assert behind == text_ids(spacing_tokenizer, "Who") + ids(spacing_tokenizer, "sold")
    assert given_ids([said], spacing_tokenizer) == text_ids(spacing_tokenizer, "sold")


def test_text_behind_a_special_token_is_fresh(spacing_tokenizer: Any) -> None:
    behind = given_ids([Segment("", ids=(2,)), glued("Who"), glued(" sold")], spacing_tokenizer)
    assert behind == [2, *text_ids(spacing_tokenizer, "Who sold")]


def test_an_opening_that_the_text_writes_too_stands_there_once(tokenizer: Any) -> None:
    bos = tokenizer.eos_token_id
    written = [*opening((bos,)), glued(tokenizer.decode([bos]) + "Who")]
    assert given_ids(written, tokenizer).count(bos) == 1


def test_an_end_that_the_answer_writes_too_stands_there_once_and_survives(tokenizer: Any) -> None:
    answer = [Segment("Natalia sold 48" + tokenizer.eos_token, Part.ANSWER), end(tokenizer)]
    for limit in (8, 1024):
        row = fit([glued("Who?")], answer, tokenizer, ToyEncoder(max_length=limit))
        said = [token for each in row.answer for token in each.ids]
        assert said.count(tokenizer.eos_token_id) == 1
        assert said[-1] == tokenizer.eos_token_id


def test_a_row_that_fits_is_not_taken_apart() -> None:
    class Counting:
        """A tokenizer that remembers what it was asked for."""

        def __init__(self) -> None:
            self.asked: list[str] = []

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            assert not add_special_tokens
            self.asked.append(text)
            return list(text.encode())

    whole, parted = Counting(), Counting()
    segments = [glued("Answer: ", Part.FIXED), glued("many words")]
    given_ids(segments, whole)
    assert whole.asked == ["Answer: many words"]
    kept = given_ids(segments, parted, ToyEncoder(max_length=12))
    assert bytes(kept) == b"Answer: ords"
    assert "many words" in parted.asked


def test_a_mark_is_one_id_where_the_tokenizer_knows_it() -> None:
    tokenizer = toy_tokenizer(chat=True)
    known, unknown = mark(tokenizer, "<|user|>"), mark(tokenizer, "<|nobody|>")
    assert len(known.ids) == 1
    assert tokenizer.decode(known.ids) == "<|user|>"
    assert unknown.ids == ()
    assert unknown.text == "<|nobody|>"


def test_without_eos_there_is_no_end(plain_tokenizer: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    mute: Any = PreTrainedTokenizerFast(tokenizer_object=plain_tokenizer.backend_tokenizer)
    with pytest.raises(ModelError, match="eos_token"):
        end(mute)

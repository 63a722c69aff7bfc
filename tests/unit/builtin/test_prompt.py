"""Prompt and response pairs as rows: the mask, BOS, EOS, truncation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.builtin.prompt import Prompt
from lorafw.data.rendering.tokens import opening_ids
from lorafw.errors import CompositionError, ModelError
from lorafw.types import IGNORE_INDEX, ChatExample, Encoded, Message, PromptExample

LONG = 10_000
responses = st.text(min_size=1, max_size=60)


def encoded(pair: PromptExample, tokenizer: Any, **options: Any) -> Encoded:
    row = Prompt(**options).encode(pair, tokenizer)
    assert row is not None
    return row


def trained(row: Encoded) -> list[int]:
    return [label for label in row.labels if label != IGNORE_INDEX]


@given(prompt=st.text(max_size=60), response=responses, separator=st.sampled_from(["\n", "", " "]))
def test_the_prompt_is_what_comes_before_the_trained_tokens(
    tokenizer: Any, prompt: str, response: str, separator: str
) -> None:
    pair = PromptExample(prompt, response)
    encoder = Prompt(max_length=LONG, separator=separator)
    row, given_ids = (
        encoder.encode(pair, tokenizer),
        list(encoder.prompt(pair, tokenizer).input_ids),
    )
    assert row is not None
    assert list(row.input_ids) == given_ids + trained(row)
    assert list(row.labels) == [IGNORE_INDEX] * len(given_ids) + trained(row)
    assert trained(row)[-1] == tokenizer.eos_token_id
    assert row.cut == 0


@given(prompt=st.text(max_size=60), response=responses)
def test_the_trained_tokens_are_the_response_and_eos(
    tokenizer: Any, prompt: str, response: str
) -> None:
    row = encoded(PromptExample(prompt, response), tokenizer, max_length=LONG)
    asked = tokenizer.encode(prompt + "\n", add_special_tokens=False)
    whole = tokenizer.decode([*asked, *trained(row)[:-1]])
    if tokenizer.unk_token_id not in row.input_ids[len(opening_ids(tokenizer)) :]:
        assert whole == tokenizer.decode(asked) + response


@given(prompt=st.text(max_size=40), response=responses)
def test_bos_stands_once_in_front_if_the_tokenizer_adds_one(
    tokenizer: Any, prompt: str, response: str
) -> None:
    row = encoded(PromptExample(prompt, response), tokenizer, max_length=LONG)
    adds_bos = tokenizer.encode("a")[0] == tokenizer.bos_token_id
    assert list(row.input_ids).count(tokenizer.bos_token_id) == adds_bos
    assert not adds_bos or row.input_ids[0] == tokenizer.bos_token_id


def test_bos_written_in_the_prompt_is_not_doubled(tokenizer: Any) -> None:
    opening = list(opening_ids(tokenizer))
    text = tokenizer.decode(opening) if opening else ""
    row = encoded(PromptExample(text + "Who?", "Me"), tokenizer)
    assert list(row.input_ids)[: len(opening)] == opening
    assert list(row.input_ids).count(tokenizer.bos_token_id) == len(opening)


def test_eos_written_in_the_response_is_not_doubled(tokenizer: Any) -> None:
    row = encoded(PromptExample("Who?", "Me" + tokenizer.eos_token), tokenizer)
    assert trained(row).count(tokenizer.eos_token_id) == 1


def test_the_response_goes_on_from_the_prompt_without_a_new_space(tokenizer: Any) -> None:
    row = encoded(PromptExample("Who", "sold"), tokenizer)
    assert list(row.input_ids) == [*tokenizer.encode("Who\nsold"), tokenizer.eos_token_id]


@given(
    prompt=st.text(max_size=200),
    response=st.text(min_size=1, max_size=200),
    max_length=st.integers(8, 40),
    train_on=st.sampled_from(["response", "all"]),
)
def test_a_cut_row_keeps_what_matters(
    tokenizer: Any, prompt: str, response: str, max_length: int, train_on: str
) -> None:
    pair = PromptExample(prompt, response)
    encoder = Prompt(max_length=max_length, train_on=train_on)
    row, whole = encoder.encode(pair, tokenizer), encoded(pair, tokenizer, max_length=LONG)
    assert row is not None
    given_ids = list(encoder.prompt(pair, tokenizer).input_ids)
    first = whole.labels.index(trained(whole)[0])
    assert len(row.input_ids) == min(max_length, len(whole.input_ids))
    assert row.cut == len(whole.input_ids) - len(row.input_ids)
    assert row.labels[-1] == row.input_ids[-1] == tokenizer.eos_token_id
    assert list(row.input_ids[: len(given_ids)]) == given_ids
    assert row.labels[len(given_ids)] == row.input_ids[len(given_ids)] == whole.input_ids[first]
    opening = list(opening_ids(tokenizer))
    assert given_ids[: len(opening)] == opening


def test_the_prompt_is_trained_as_well_when_asked(tokenizer: Any) -> None:
    row = encoded(PromptExample("Who?", "Me"), tokenizer, train_on="all")
    assert list(row.labels) == list(row.input_ids)


def test_an_empty_response_has_nothing_to_train(tokenizer: Any) -> None:
    assert Prompt().encode(PromptExample("Who?", ""), tokenizer) is None
    assert Prompt().prompt(PromptExample("Who?", ""), tokenizer).input_ids


def test_a_conversation_is_refused(plain_tokenizer: Any) -> None:
    with pytest.raises(CompositionError, match=r"ChatExample.*encoder\.use=chat"):
        Prompt().encode(ChatExample((Message("user", "hi"),)), plain_tokenizer)


def test_a_tokenizer_without_eos_is_refused(plain_tokenizer: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    mute = PreTrainedTokenizerFast(tokenizer_object=plain_tokenizer.backend_tokenizer)
    with pytest.raises(ModelError, match="eos_token"):
        Prompt().encode(PromptExample("Who?", "Me"), mute)


def test_real_questions_are_encoded_whole(tokenizer: Any, shared: Path) -> None:
    lines = (shared / "data/gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:100]
    for line in lines:
        item = json.loads(line)
        pair = PromptExample(item["question"], item["answer"])
        row = encoded(pair, tokenizer, max_length=LONG)
        assert row.targets == len(trained(row)) > 1
        if tokenizer.unk_token_id not in row.input_ids:
            assert tokenizer.decode(trained(row)[:-1]) == item["answer"]

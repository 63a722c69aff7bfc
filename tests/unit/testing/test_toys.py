"""The toys that parts are tried on."""

from __future__ import annotations

import pytest
import torch

from lorafw.testing.toys import WORDS, toy_bundle, toy_llama, toy_rows, toy_tokenizer
from lorafw.types import Capability, Layout


@pytest.mark.parametrize("chat", [False, True])
def test_the_tokenizer_knows_its_words_and_the_model_has_a_place_for_each(chat: bool) -> None:
    tokenizer = toy_tokenizer(chat=chat)
    ids = tokenizer.encode(" ".join(WORDS), add_special_tokens=False)
    assert tokenizer.decode(ids).split() == WORDS
    assert max(ids) < toy_llama().config.vocab_size
    assert (tokenizer.chat_template is not None) is chat


def test_a_chat_is_rendered_with_a_token_for_each_role() -> None:
    tokenizer = toy_tokenizer(chat=True)
    turns = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    assert text == "<s><|user|>the cat<|assistant|>sat</s>"
    assert len(tokenizer.encode(text, add_special_tokens=False)) == 7


@pytest.mark.parametrize(("dtype", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_bundle_has_the_dtype_asked_for_and_takes_segments(
    dtype: str, expected: torch.dtype
) -> None:
    bundle = toy_bundle(dtype)
    assert {parameter.dtype for parameter in bundle.module.parameters()} == {expected}
    assert Capability.SEGMENTS in bundle.capabilities


def test_rows_are_ragged_and_the_first_part_is_not_trained() -> None:
    rows = toy_rows(50)
    assert len({len(row.input_ids) for row in rows}) > 10
    assert all(row.targets > 0 and row.labels[0] == -100 for row in rows)


def test_logits_are_the_same_in_both_layouts() -> None:
    from lorafw.testing.values import distance, logits_of

    bundle, rows = toy_bundle(), toy_rows(3)
    flat, padded = (logits_of(bundle, rows, layout) for layout in Layout)
    assert flat.shape == padded.shape == (sum(len(row.input_ids) for row in rows), 64)
    assert distance(padded, flat) < 1e-6

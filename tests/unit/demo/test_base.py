from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from lorafw.demo import base_path
from lorafw.demo.corpus import conversations, fine_tuning_rows, held_out_rows, stories

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(base_path(), local_files_only=True)


def test_the_folder_is_complete_and_small() -> None:
    names = {path.name for path in base_path().iterdir()}
    assert {"README.md", "config.json", "generation_config.json"} <= names
    assert {"model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert sum(path.stat().st_size for path in base_path().iterdir()) <= 5 * MEGABYTE


def test_the_special_tokens_are_distinct(tokenizer: PreTrainedTokenizerFast) -> None:
    special = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert None not in special
    assert len(set(special)) == len(special)


def test_the_tokenizer_round_trips_the_corpus(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = fine_tuning_rows() + held_out_rows()
    texts = stories(Random(3)) + [text for row in rows for text in row.values()]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer.batch_decode(encoded) == texts


@pytest.mark.parametrize("text", ["naïve café", "  two  spaces\n", "日本", "🦜"])
def test_the_tokenizer_round_trips_text_it_never_saw(
    tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("add_special_tokens", [False, True])
def test_a_rendered_conversation_begins_once_and_ends_once(
    tokenizer: PreTrainedTokenizerFast, add_special_tokens: bool
) -> None:
    row = held_out_rows()[0]
    messages = [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["response"]},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    tokens = tokenizer.encode(text, add_special_tokens=add_special_tokens)
    assert tokens[0] == tokenizer.bos_token_id
    assert tokens[-1] == tokenizer.eos_token_id
    assert tokens.count(tokenizer.bos_token_id) == 1
    assert tokens.count(tokenizer.eos_token_id) == 1


def test_the_chat_template_is_prefix_stable(tokenizer: PreTrainedTokenizerFast) -> None:
    for messages in conversations(Random(5))[:50]:
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        for count in range(1, len(messages) + 1):
            part = tokenizer.apply_chat_template(messages[:count], tokenize=False)
            assert whole.startswith(part)


def test_the_generation_prompt_leads_into_the_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(messages, tokenize=False) == f"{prompt}Ho.</s>"

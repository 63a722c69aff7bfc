from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lorafw.errors import ModelError
from lorafw_glm._tiktoken import PATTERN, SPECIALS, read_ranks
from lorafw_glm.tokenizer import original_tokenizer

WORDS = st.sampled_from(["the ", "it's", "WE'LL", "1234", "  \r\n", "\t", "今天", "é", "aa", "#!"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(WORDS).map("".join)


@pytest.fixture(scope="module")
def original(tiktoken_folder: Path) -> tiktoken.Encoding:
    ranks = read_ranks(tiktoken_folder / "tokenizer.model")
    specials = {name: len(ranks) + index for index, name in enumerate(SPECIALS)}
    return tiktoken.Encoding(
        "glm-4", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=specials
    )


@pytest.fixture(scope="module")
def tokenizer(tiktoken_folder: Path) -> Any:
    return original_tokenizer(tiktoken_folder)


@pytest.fixture(scope="module")
def saved(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("saved")
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
@example(text="")
@example(text="  leading and trailing  \n\n")
def test_ids_and_text_are_tiktokens(
    original: tiktoken.Encoding, tokenizer: Any, saved: Any, text: str
) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert ids == original.encode(text, allowed_special="all")
    assert tokenizer.decode(ids) == text
    assert saved.encode(text) == tokenizer.encode(text)


def test_special_tokens_in_a_text_are_read(original: tiktoken.Encoding, tokenizer: Any) -> None:
    text = "[gMASK]<sop><|user|>\nhello<|assistant|>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert ids == original.encode(text, allowed_special="all")
    assert tokenizer.encode("hello") == ids[:2] + original.encode("hello")


def test_the_end_of_text_ends_and_pads(tokenizer: Any, saved: Any) -> None:
    for words in (tokenizer, saved):
        assert words.eos_token == words.pad_token == "<|endoftext|>"
        assert (words.eos_token_id, words.bos_token_id) == (400, None)


def test_the_chat_template_is_kept(tiktoken_folder: Path, tmp_path: Path) -> None:
    template = "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    vocabulary = (tiktoken_folder / "tokenizer.model").read_bytes()
    (tmp_path / "tokenizer.model").write_bytes(vocabulary)
    config = json.dumps({"chat_template": template, "auto_map": {"AutoTokenizer": ["x.Y", None]}})
    (tmp_path / "tokenizer_config.json").write_text(config)
    tokenizer: Any = original_tokenizer(tmp_path)
    messages = [{"role": "user", "content": "hello"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "[gMASK]<sop><|user|>\nhello"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda lines: [*lines[:9], b"?? 9", *lines[10:]], r"tokenizer\.model:10: should hold"),
        (lambda lines: [*lines[:9], b"AA==", *lines[10:]], r"tokenizer\.model:10: should hold"),
        (lambda lines: lines[:99], r"tokenizer\.model: lacks"),
        (lambda lines: lines[:300] + lines[301:], r"tokenizer\.model: lacks"),
    ],
)
def test_a_damaged_file_is_one_error(
    tiktoken_folder: Path, tmp_path: Path, damage: Any, fault: str
) -> None:
    lines = (tiktoken_folder / "tokenizer.model").read_bytes().splitlines()
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"\n".join(damage(lines)))
    with pytest.raises(ModelError, match=fault):
        original_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no tokenizer"):
        original_tokenizer(tmp_path)

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lorafw.data.rendering.tokens import mark_id
from lorafw_glm._sentencepiece import ROLES, SPECIALS, chatglm_tokenizer
from lorafw_glm.tokenizer import original_tokenizer

WORDS = st.sampled_from(
    [
        "the ",
        "philosophy",
        "sop",
        "[gMASK]",
        "</s>",
        "<0x41>",
        "aa",
        "今天天气",
        "\n",
        " ",
        "▁",
        "12",
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(WORDS).map("".join)


@pytest.fixture(scope="module")
def original(sentencepiece_folder: Path) -> Any:
    path = sentencepiece_folder / "tokenizer.model"
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


@pytest.fixture(scope="module")
def tokenizer(sentencepiece_folder: Path) -> Any:
    return original_tokenizer(sentencepiece_folder)


@pytest.fixture(scope="module")
def saved(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("saved")
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS)
@example(text="")
@example(text="  two leading spaces and\ttab\r\n")
@example(text="<s>[gMASK] sop eop</s> philosophy <unk>")
def test_ids_and_text_are_sentencepieces(original: Any, tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert ids == original.encode(text)
    assert tokenizer.decode(ids) == original.decode(ids)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_what_was_saved_gives_the_same(tokenizer: Any, saved: Any, texts: list[str]) -> None:
    expected = [tokenizer.encode(text) for text in texts]
    assert saved(texts)["input_ids"] == tokenizer(texts)["input_ids"] == expected
    assert saved.batch_decode(expected) == tokenizer.batch_decode(expected)


def test_special_tokens_follow_the_vocabulary(original: Any, tokenizer: Any, saved: Any) -> None:
    names = SPECIALS + ROLES
    ids = list(range(len(original), len(original) + len(names)))
    for words in (tokenizer, saved):
        assert [special_id(words, name) for name in names] == ids
        assert (words.eos_token_id, words.pad_token_id, words.bos_token_id) == (2, 0, None)
        assert len(words) == words.vocab_size == len(original) + len(names)


@pytest.mark.parametrize(
    ("file", "content", "roles"),
    [
        ("tokenization_chatglm.py", 'special_tokens = ["[MASK]", "sop", "eop"]', False),
        ("tokenization_chatglm.py", 'special_tokens = ["sop"] + ["<|user|>"]', True),
        ("config.json", '{"_name_or_path": "THUDM/chatglm2-6b"}', False),
        ("config.json", '{"_name_or_path": "THUDM/chatglm3-6b"}', True),
        ("tokenizer_config.json", '{"name_or_path": "THUDM/chatglm2-6b"}', False),
        ("tokenizer_config.json", "{}", True),
    ],
)
def test_roles_are_chatglm3s(
    sentencepiece_folder: Path, tmp_path: Path, file: str, content: str, *, roles: bool
) -> None:
    vocabulary = (sentencepiece_folder / "tokenizer.model").read_bytes()
    (tmp_path / "tokenizer.model").write_bytes(vocabulary)
    (tmp_path / file).write_text(content, encoding="utf-8")
    tokenizer = original_tokenizer(tmp_path)
    assert (mark_id(tokenizer, "<|user|>") is not None) == roles
    assert mark_id(tokenizer, "[gMASK]") == 451


def special_id(tokenizer: Any, name: str) -> int | None:
    """In this vocabulary `sop` and `eop` are pieces of words as well."""
    return mark_id(tokenizer, f"<{name}>") or mark_id(tokenizer, name)


def test_a_name_that_is_a_piece_too_stays_a_piece(original: Any, tokenizer: Any) -> None:
    assert original.piece_to_id("sop") == tokenizer.convert_tokens_to_ids("sop")
    assert original.encode("0sop")[-1] == original.piece_to_id("sop")
    assert original.unk_id() == original.piece_to_id("[gMASK]")


def test_a_text_opens_with_gmask_and_sop(original: Any, tokenizer: Any) -> None:
    opening = [special_id(tokenizer, name) for name in ("[gMASK]", "sop")]
    ids = tokenizer.encode("Hello there")
    assert ids == opening + original.encode("Hello there")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Hello there"
    assert tokenizer.decode(opening) == "[gMASK]<sop>"


@pytest.fixture
def real() -> Path:
    place = os.environ.get("LORAFW_CHATGLM_TOKENIZER")
    if not place:
        pytest.skip("LORAFW_CHATGLM_TOKENIZER does not name ChatGLM3's tokenizer.model")
    return Path(place)


@pytest.fixture
def golden(shared: Path) -> Any:
    return json.loads((shared / "golden/chatglm2/token_ids.json").read_text(encoding="utf-8"))


def test_ids_of_the_real_tokenizer(real: Path, golden: Any) -> None:
    tokenizer: Any = chatglm_tokenizer(real, roles=True)
    for case in golden["sentences"]:
        assert tokenizer.encode(case["text"], add_special_tokens=False) == case["ids"]
        assert tokenizer.encode(case["text"]) == case["ids_with_prefix"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
    chat = golden["chat_prompt"]
    assert tokenizer.encode(chat["text"]) == chat["ids_with_prefix"]
    for name, index in golden["special_ids"].items():
        assert special_id(tokenizer, name.partition(" ")[0]) == index


def test_shuffled_text_in_the_real_tokenizer(real: Path, golden: Any) -> None:
    tokenizer: Any = chatglm_tokenizer(real, roles=True)
    library = sentencepiece.SentencePieceProcessor(model_file=str(real))
    text, chance = "".join(case["text"] for case in golden["sentences"]), random.Random(0)
    for _ in range(500):
        shuffled = "".join(chance.choices(text, k=60))
        assert tokenizer.encode(shuffled, add_special_tokens=False) == library.encode(shuffled)

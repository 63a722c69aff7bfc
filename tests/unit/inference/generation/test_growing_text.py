"""Pieces of a text are, together, the text; what may still change is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lorafw.inference.generation.growing_text import GrowingText

if TYPE_CHECKING:
    from pathlib import Path


def bytewise() -> PreTrainedTokenizerFast:
    """One token per byte, so that most characters of most scripts come in halves."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


BYTES = bytewise()


def pieces(tokenizer: PreTrainedTokenizerFast, ids: list[int], stop: tuple[str, ...]) -> list[str]:
    text, found = GrowingText(tokenizer, stop), []
    for count in range(1, len(ids) + 1):
        text.read(ids[:count])
        found.append(text.fresh(done=count == len(ids)))
        if text.stopped:
            break
    return found


@given(st.text(min_size=1, max_size=20), st.sampled_from(["", "ab", "aab", "\n\n", "。"]))
def test_pieces_are_the_text_up_to_the_stop(text: str, stop: str) -> None:
    ids = BYTES.encode(text, add_special_tokens=False)
    stops = (stop,) if stop else ()
    whole = text.split(stop, maxsplit=1)[0] if stop else text
    assert "".join(pieces(BYTES, ids, stops)) == whole


@given(st.text("ab", min_size=1, max_size=16))
def test_nothing_of_a_stop_text_is_ever_shown(text: str) -> None:
    found = "".join(pieces(BYTES, BYTES.encode(text), ("aab", "bb")))
    assert "aab" not in found
    assert "bb" not in found


def test_no_half_character_is_shown() -> None:
    found = pieces(BYTES, BYTES.encode("é 中 🙂"), ())
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(found)
    assert found.count("") == 1 + 2 + 3


def test_a_broken_end_is_shown_at_the_end() -> None:
    ids = BYTES.encode("中")[:2]
    assert "".join(pieces(BYTES, ids, ())) == BYTES.decode(ids)


@pytest.mark.parametrize("text", ["Once upon a time, there was.", "  two  spaces\n\n中文 é 🙂 <a>"])
def test_real_tokenizers_give_whole_texts(shared: Path, text: str) -> None:
    folders = sorted({path.parent for path in (shared / "data/tokenizers").rglob("tokenizer.json")})
    for folder in (*folders, shared / "models/stories260k-llama"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer.encode(text)
        whole = tokenizer.decode(ids, skip_special_tokens=True)
        assert "".join(pieces(tokenizer, ids, ())) == whole, folder


def test_a_tokenizer_that_tidies_up_spaces_loses_no_text() -> None:
    words = ["[UNK]", "do", "n", "'", "t", "s", "ve", ".", "foo", "我"]
    model = models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    backend = Tokenizer(model)
    backend.decoder = decoders.WordPiece()
    tidy = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=True)
    said = ["do", "n", "'", "t", "foo", "'", "s", "foo", "'", "ve", "n", "foo", ".", "我"]
    ids = [words.index(word) for word in said]
    whole = "don't foo's foo've n foo. 我"
    assert tidy.decode(ids) == whole
    assert "".join(pieces(tidy, ids, ())) == whole

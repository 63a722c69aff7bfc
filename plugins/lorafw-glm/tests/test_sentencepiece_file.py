from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece

from lorafw.errors import ModelError
from lorafw_glm.sentencepiece_file import Kind, read_sentencepiece


def test_pieces_are_those_the_library_sees(sentencepiece_folder: Path) -> None:
    path = sentencepiece_folder / "tokenizer.model"
    model, library = read_sentencepiece(path), sentencepiece.SentencePieceProcessor(str(path))
    assert len(model.pieces) == len(library)
    for index, piece in enumerate(model.pieces):
        assert (piece.text, piece.score) == (library.id_to_piece(index), library.get_score(index))
        assert (piece.kind is Kind.BYTE) == library.is_byte(index)
        assert (piece.kind is Kind.CONTROL) == library.is_control(index)
    assert (model.byte_fallback, model.dummy_prefix, model.unknown) == (True, True, "<unk>")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"model_type": "unigram", "vocab_size": 320}, "not BPE"),
        ({"normalization_rule_name": "nmt_nfkc"}, "normalises text"),
        ({"remove_extra_whitespaces": True}, "strips spaces"),
        ({"user_defined_symbols": ["<sep>"]}, "'<sep>'"),
        ({"treat_whitespace_as_suffix": True}, "behind words"),
        ({"eos_id": -1}, "has no </s>"),
    ],
)
def test_other_rules_are_refused(
    train_sentencepiece: Callable[..., bytes],
    tmp_path: Path,
    options: dict[str, object],
    fault: str,
) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece(**options))
    with pytest.raises(ModelError, match=f"not of ChatGLM's kind: .*{fault}"):
        read_sentencepiece(path)


def test_no_dummy_prefix_is_seen(train_sentencepiece: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(train_sentencepiece(add_dummy_prefix=False))
    assert not read_sentencepiece(path).dummy_prefix


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-7], lambda b: b[:100], lambda _: b"\n\x00", bytes]
)
def test_a_damaged_file_is_one_error(
    sentencepiece_folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = (sentencepiece_folder / "tokenizer.model").read_bytes()
    path = tmp_path / "tokenizer.model"
    path.write_bytes(damage(whole) if damage is not bytes else b"")
    with pytest.raises(ModelError, match=r"tokenizer\.model: is"):
        read_sentencepiece(path)

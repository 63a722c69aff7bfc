"""Tokenizers that read texts in different ways: SentencePiece, byte-level, and real ones."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

TEXTS = [
    "Natalia sold 48 clips in April and half as many in May.\n\nHow many did she sell?",
    "用户你好，我是一个助手。问：答： Ünïcödé 🙂",
    "### Instruction: ### Input: ### Response: Question: Answer: Let's solve this step by step.",
]
GLM2 = ("[gMASK]", "sop")
GLM3 = (*GLM2, "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
REAL = {
    "stories": "models/stories260k-llama",
    "minimind-2025-02": "data/tokenizers/minimind-2025-02",
    "minimind-2026": "data/tokenizers/minimind-2026",
}


def sentence_piece(*marks: str, legacy: bool = True, bos: bool = True) -> Any:
    """A tokenizer with the pieces and merges of a SentencePiece model trained here.

    Args:
        marks: special tokens beside BOS and EOS.
        legacy: as SentencePiece itself does, a space is written before text behind a special token.
        bos: puts BOS in front of every text.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=model,
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
    )
    reader = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = {reader.id_to_piece(at): at for at in range(len(reader))}
    merges = [
        (piece[:at], piece[at:])
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in pieces and piece[at:] in pieces
    ]
    return LlamaTokenizer(
        vocab=pieces,
        merges=merges,
        legacy=legacy,
        add_bos_token=bos,
        additional_special_tokens=list(marks),
    )


def byte_level(*marks: str) -> Any:
    """A byte-level tokenizer trained here."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "</s>", *marks]
    trainer = BpeTrainer(
        vocab_size=500, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=list(marks),
    )


def _build(kind: str) -> Any:
    if kind == "sentence-piece":
        return sentence_piece()
    if kind == "llama":
        return sentence_piece(legacy=False)
    if kind == "glm2":
        return sentence_piece(*GLM2, bos=False)
    if kind == "glm3":
        return sentence_piece(*GLM3, bos=False)
    if kind == "bytes":
        return byte_level("[gMASK]", "<sop>", "<eop>", "<|im_start|>", "<|im_end|>")
    if not (place := os.environ.get("LORAFW_SHARED")):
        pytest.skip("LORAFW_SHARED is not set: the folder of real data and models is not here")
    return AutoTokenizer.from_pretrained(Path(place).resolve() / REAL[kind])


@pytest.fixture(scope="session", params=["sentence-piece", "llama", "glm2", "glm3", "bytes", *REAL])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    """Every kind of tokenizer."""
    return _build(request.param)


@pytest.fixture(scope="session")
def glm2_tokenizer() -> Any:
    """A SentencePiece tokenizer with ChatGLM2's marks."""
    return _build("glm2")


@pytest.fixture(scope="session")
def glm3_tokenizer() -> Any:
    """A SentencePiece tokenizer with ChatGLM3's marks and roles."""
    return _build("glm3")


@pytest.fixture(scope="session")
def llama_tokenizer() -> Any:
    """A SentencePiece tokenizer that puts BOS in front."""
    return _build("sentence-piece")


@pytest.fixture(scope="session")
def byte_tokenizer() -> Any:
    """A byte-level tokenizer with the marks of ChatGLM-6B and ChatML."""
    return _build("bytes")

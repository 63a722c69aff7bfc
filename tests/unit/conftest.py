"""Tokenizers of the kinds that models come with, each tiny, and two real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

TEXTS = [
    "Natalia sold 48 clips in April and half as many in May.\n\nHow many did she sell?",
    "Hello! I am an assistant. How can I help you today?",
    "用户你好，我是一个助手。 Ünïcödé 🙂",
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROLE_MARKS = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
REAL = {"stories": "models/stories260k-llama", "minimind": "data/tokenizers/minimind-2026"}


def byte_level(specials: tuple[str, ...], template: str | None = None, *, bos: bool) -> Any:
    """A byte-level BPE tokenizer: any text goes in and comes out unchanged."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(backend, specials, alphabet, 400)
    if bos:
        backend.post_processor = _bos_first(backend)
    return _wrapped(backend, specials, template)


def sentence_piece() -> Any:
    """A tokenizer that writes a space before each text, as Llama 2's does; ASCII only."""
    backend = Tokenizer(BPE(unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ("<unk>", "<s>", "</s>")
    _train(backend, specials, [chr(code) for code in range(10, 127)], 200)
    backend.post_processor = _bos_first(backend)
    return _wrapped(backend, specials, None)


def _train(backend: Any, specials: tuple[str, ...], alphabet: list[str], size: int) -> None:
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=list(specials),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)


def _bos_first(backend: Any) -> Any:
    bos = ("<s>", backend.token_to_id("<s>"))
    return processors.TemplateProcessing(single="<s> $A", special_tokens=[bos])


def _wrapped(backend: Any, specials: tuple[str, ...], template: str | None) -> Any:
    chatml = "<|im_end|>" in specials
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=None if chatml else "<s>",
        eos_token="<|im_end|>" if chatml else "</s>",
        unk_token="<unk>" if "<unk>" in specials else None,
        additional_special_tokens=[mark for mark in specials if "|" in mark],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def _build(kind: str) -> Any:
    if kind == "plain":
        return byte_level(("<s>", "</s>"), bos=False)
    if kind == "bos":
        marks = ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
        return byte_level(marks, ROLE_MARKS, bos=True)
    if kind == "chatml":
        return byte_level(("<|im_start|>", "<|im_end|>"), CHATML, bos=False)
    if kind == "sentence-piece":
        return sentence_piece()
    if not (place := os.environ.get("LORAFW_SHARED")):
        pytest.skip("LORAFW_SHARED is not set: the folder of real data and models is not here")
    return AutoTokenizer.from_pretrained(Path(place).resolve() / REAL[kind])


@pytest.fixture(
    scope="session", params=["plain", "bos", "chatml", "sentence-piece", "stories", "minimind"]
)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Tokenizers with and without BOS, with and without a space in front of each text."""
    return _build(request.param)


@pytest.fixture(scope="session", params=["bos", "chatml", "minimind"])
def chat_tokenizer(request: pytest.FixtureRequest) -> Any:
    """Tokenizers that have a chat template."""
    return _build(request.param)


@pytest.fixture(scope="session")
def spacing_tokenizer() -> Any:
    """A tokenizer that writes a space before each text."""
    return _build("sentence-piece")


@pytest.fixture(scope="session")
def plain_tokenizer() -> Any:
    """A tokenizer without BOS and without a chat template."""
    return _build("plain")

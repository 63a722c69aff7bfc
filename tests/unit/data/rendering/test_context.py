"""Rows no longer than the model can read."""

from __future__ import annotations

from typing import Any

from lorafw.builtin.prompt import Prompt
from lorafw.data.rendering.context import within_context


def test_the_shorter_limit_counts(plain_tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(plain_tokenizer, "model_max_length", 100)
    encoder = Prompt(max_length=400, separator="\t")
    assert within_context(encoder, plain_tokenizer) == Prompt(max_length=100, separator="\t")
    assert within_context(Prompt(max_length=60), plain_tokenizer).max_length == 60

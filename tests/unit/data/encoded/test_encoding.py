"""Encoding all of a split tells how far it is."""

from __future__ import annotations

import pytest

from lorafw.builtin.prompt import Prompt
from lorafw.data.encoded import encoding
from lorafw.data.encoded.portion import SIZE, PortionMaker
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import PromptExample, Split


def test_progress_counts_rows_that_are_left_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "OFTEN", 0.0)
    told: list[tuple[int, int]] = []
    examples = [PromptExample("the", ""), *[PromptExample("the", "cat")] * (SIZE + 1)]
    maker = PortionMaker(Prompt(), toy_tokenizer(), Split.TRAIN)
    encoding.encode_all(
        examples, maker, lambda _: None, lambda done, total: told.append((done, total))
    )
    assert told == [(SIZE, SIZE + 2), (SIZE + 2, SIZE + 2)]

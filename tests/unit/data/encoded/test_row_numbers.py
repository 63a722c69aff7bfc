"""Rows are called by their number in the split, those that were left out counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from lorafw.contracts import DatasetAdapter
from lorafw.data.encoded import row_numbers
from lorafw.data.encoded.row_numbers import RowNumbers
from lorafw.testing.toys import ToyEncoder, toy_tokenizer
from lorafw.types import Encoded, Example, Split, TextExample, Tokenizer


class Texts(DatasetAdapter):
    loads: ClassVar[list[Split]] = []

    @property
    def produces(self) -> type[Example]:
        return TextExample

    def load(self, split: Split) -> Sequence[Example]:
        self.loads.append(split)
        return [TextExample(text) for text in ("a", "", "b", "", "", "c")]


class Whole(ToyEncoder):
    def encode(self, example: Example, tokenizer: Tokenizer) -> Encoded | None:
        assert isinstance(example, TextExample)
        return Encoded([1], [1]) if example.text else None


def names(dropped: int) -> RowNumbers:
    return RowNumbers(Texts(), Whole(), toy_tokenizer(), Split.TRAIN, dropped)


def test_rows_that_were_left_out_are_counted() -> None:
    name = names(dropped=3)
    assert [name(row) for row in range(3)] == ["row 1", "row 3", "row 6"]


def test_portions_are_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_numbers, "SIZE", 2)
    assert names(dropped=3)(2) == "row 6"


def test_where_none_was_left_out_nothing_is_read() -> None:
    Texts.loads.clear()
    assert names(dropped=0)(4) == "row 5"
    assert not Texts.loads

"""What the user calls a row that is trained on: its number among all rows of its split."""

from __future__ import annotations

from collections.abc import Mapping

from lorafw.contracts import DatasetAdapter, Encoder
from lorafw.data.encoded.joined import JoinedRows
from lorafw.data.encoded.portion import SIZE
from lorafw.types import Split, Tokenizer


class RowNumbers:
    """Counts from one, as `lorafw data preview` does, rows that were left out included.

    Encoded rows know nothing of those. Where there are some, the split is encoded again up to the
    row that is asked for: only a run that ends with an error asks.

    Args:
        dataset, encoder, tokenizer: what the rows were made with.
        split: which rows.
        dropped: how many of them were left out.
    """

    def __init__(
        self,
        dataset: DatasetAdapter,
        encoder: Encoder,
        tokenizer: Tokenizer,
        split: Split,
        dropped: int,
    ) -> None:
        self._dataset, self._encoder, self._tokenizer = dataset, encoder, tokenizer
        self._split, self._dropped = split, dropped

    def __call__(self, row: int) -> str:
        """The name of an encoded row, by its index from zero."""
        return f"row {self._number(row) if self._dropped else row + 1}"

    def _number(self, row: int) -> int:
        examples, kept = self._dataset.load(self._split), -1
        for start in range(0, len(examples), SIZE):
            made = self._encoder.encode_many(examples[start : start + SIZE], self._tokenizer)
            for number, one in enumerate(made, start + 1):
                kept += one is not None
                if kept == row:
                    return number
        return row + 1


class TaskRowNumbers:
    """Counts in each task of a run.

    Args:
        rows: of all tasks, one task behind the other.
        numbers: of each task's rows, by its name, in the same order.
    """

    def __init__(self, rows: JoinedRows, numbers: Mapping[str, RowNumbers]) -> None:
        self._rows, self._numbers = rows, list(numbers.items())

    def __call__(self, row: int) -> str:
        """The name of an encoded row, by its index from zero among those of all tasks."""
        part, at = self._rows.place(row)
        task, number = self._numbers[part]
        return f"{number(at)} of task '{task}'"

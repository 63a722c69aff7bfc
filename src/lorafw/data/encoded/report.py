"""An account of what became of a split's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lorafw.errors import DataError
from lorafw.types import Encoded, Split


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a split.

    Attributes:
        rows: rows that are kept.
        dropped: rows left out because nothing in them is trained.
        cut_rows, cut_tokens: rows longer than `max_length`, and what they lost in all.
        tokens, targets: of the rows kept: all tokens, and the predictions that are trained.
        longest: tokens of the longest row.
    """

    split: Split
    max_length: int
    rows: int = 0
    dropped: int = 0
    cut_rows: int = 0
    cut_tokens: int = 0
    tokens: int = 0
    targets: int = 0
    longest: int = 0

    def notices(self) -> Iterator[str]:
        """What the user should know: rows that were cut or left out."""
        if self.cut_rows:
            were = "was" if self.cut_rows == 1 else "were"
            yield (
                f"{self.cut_rows} of {_rows(self.rows)} ({self.split}) {were} longer than "
                f"max_length {self.max_length} and {were} cut by {self.cut_tokens} tokens "
                "in all."
            )
        if self.dropped:
            were = "was" if self.dropped == 1 else "were"
            yield (
                f"{self.dropped} of {_rows(self.rows + self.dropped)} ({self.split}) "
                f"{were} left out: nothing to train (no response, or no trained turn)."
            )

    @classmethod
    def of(cls, rows: Sequence[Encoded | None], split: Split, max_length: int) -> Report:
        """The account of some rows; None is a row that is left out."""
        kept = [row for row in rows if row is not None]
        cuts = [row.cut for row in kept if row.cut]
        lengths = [len(row.input_ids) for row in kept]
        return cls(
            split=split,
            max_length=max_length,
            rows=len(kept),
            dropped=len(rows) - len(kept),
            cut_rows=len(cuts),
            cut_tokens=sum(cuts),
            tokens=sum(lengths),
            targets=sum(row.targets for row in kept),
            longest=max(lengths, default=0),
        )

    def __add__(self, more: Report) -> Report:
        """The account of these rows and more of the same split; the longer limit is told."""
        return Report(
            split=self.split,
            max_length=max(self.max_length, more.max_length),
            rows=self.rows + more.rows,
            dropped=self.dropped + more.dropped,
            cut_rows=self.cut_rows + more.cut_rows,
            cut_tokens=self.cut_tokens + more.cut_tokens,
            tokens=self.tokens + more.tokens,
            targets=self.targets + more.targets,
            longest=max(self.longest, more.longest),
        )

    def require_rows(self) -> None:
        """See that the training split has something to train.

        Raises:
            DataError: it has not.
        """
        if self.rows or self.split is not Split.TRAIN:
            return
        if not self.dropped:
            raise DataError("the training split has no rows.", where="dataset")
        raise DataError(
            f"none of the {_rows(self.dropped)} of split 'train' has anything to train.",
            where="dataset",
            mend="Each has an empty response, or no turn of the assistant that is trained.",
        )


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"

"""A split's examples as encoded rows, with an account of what happened to them."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorafw.contracts import Encoder
from lorafw.errors import DataError, LorafwError
from lorafw.types import Encoded, Example, Split, Tokenizer


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
    rows: int
    dropped: int
    cut_rows: int
    cut_tokens: int
    tokens: int
    targets: int
    longest: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split's rows, ids and labels stored as 4-byte integers, and the report on them."""

    rows: list[Encoded]
    report: Report

    def notices(self) -> list[str]:
        """What the user should know: rows that were cut or left out."""
        report, sentences = self.report, []
        if report.cut_rows:
            were = "was" if report.cut_rows == 1 else "were"
            sentences.append(
                f"{report.cut_rows} of {_rows(report.rows)} ({report.split}) {were} longer than "
                f"max_length {report.max_length} and {were} cut by {report.cut_tokens} tokens "
                "in all."
            )
        if report.dropped:
            were = "was" if report.dropped == 1 else "were"
            sentences.append(
                f"{report.dropped} of {_rows(report.rows + report.dropped)} ({report.split}) "
                f"{were} left out: nothing to train (no response, or no trained turn)."
            )
        return sentences


def prepare(
    examples: Sequence[Example], encoder: Encoder, tokenizer: Tokenizer, *, split: Split
) -> Prepared:
    """Encode a split.

    Raises:
        DataError: there is nothing to train on in the training split.
        LorafwError: the encoder cannot render a row; the message counts which.
    """
    rows = [
        _compact(row) for row in _encoded(examples, encoder, tokenizer, split) if row is not None
    ]
    if split is Split.TRAIN and not rows:
        raise _nothing_to_train(len(examples))
    return Prepared(rows, _report(rows, len(examples), encoder.max_length, split))


def fingerprint(rows: Iterable[Encoded]) -> str:
    """SHA-256, in hex, over ids and labels of rows in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(len(row.input_ids).to_bytes(4, "little"))
        for values in (row.input_ids, row.labels):
            digest.update(np.asarray(values, dtype="<i4").tobytes())
    return digest.hexdigest()


def _encoded(
    examples: Sequence[Example], encoder: Encoder, tokenizer: Tokenizer, split: Split
) -> Iterator[Encoded | None]:
    for number, example in enumerate(examples, 1):
        try:
            yield encoder.encode(example, tokenizer)
        except LorafwError as error:
            what = f"{error.what} (row {number} of split '{split}')"
            raise type(error)(what, where=error.where, mend=error.mend) from None


def _compact(row: Encoded) -> Encoded:
    return Encoded(array("i", row.input_ids), array("i", row.labels), row.cut)


def _report(rows: Sequence[Encoded], examples: int, max_length: int, split: Split) -> Report:
    lengths = [len(row.input_ids) for row in rows]
    cuts = [row.cut for row in rows if row.cut]
    return Report(
        split=split,
        max_length=max_length,
        rows=len(rows),
        dropped=examples - len(rows),
        cut_rows=len(cuts),
        cut_tokens=sum(cuts),
        tokens=sum(lengths),
        targets=sum(row.targets for row in rows),
        longest=max(lengths, default=0),
    )


def _nothing_to_train(examples: int) -> DataError:
    if not examples:
        return DataError("the training split has no rows.", where="dataset")
    return DataError(
        f"none of the {_rows(examples)} of split 'train' has anything to train.",
        where="dataset",
        mend="Each has an empty response, or no turn of the assistant that is trained.",
    )


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"

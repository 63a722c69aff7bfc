"""A split's examples as encoded rows, with an account of what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorafw.contracts import Encoder
from lorafw.data.encoded.encoding import Progress, encode_all, fingerprint, unheard
from lorafw.data.encoded.packed import PackedRows
from lorafw.data.encoded.portion import PortionMaker
from lorafw.data.encoded.report import Report
from lorafw.types import Encoded, Example, Split, Tokenizer

__all__ = ["Prepared", "Report", "fingerprint", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split's rows, ids and labels stored as 4-byte integers, and the report on them.

    Attributes:
        fingerprint: of the rows, as `fingerprint` makes it.
        left_out: what the data set says of rows that it left out itself.
    """

    rows: Sequence[Encoded]
    report: Report
    fingerprint: str
    left_out: Sequence[str] = ()

    def notices(self) -> list[str]:
        """What the user should know: rows that were cut or left out."""
        return [*self.left_out, *self.report.notices()]


def prepare(
    examples: Sequence[Example],
    encoder: Encoder,
    tokenizer: Tokenizer,
    *,
    split: Split,
    progress: Progress = unheard,
) -> Prepared:
    """Encode a split in memory.

    Raises:
        DataError: there is nothing to train on in the training split.
        LorafwError: the encoder cannot render a row; the message counts which.
    """
    batches: list[Any] = []
    maker = PortionMaker(encoder, tokenizer, split)
    account = encode_all(examples, maker, batches.append, progress)
    return Prepared(PackedRows(batches), account.report, account.fingerprint)

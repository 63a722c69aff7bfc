"""A few hundred examples encoded at once: the unit in which rows are encoded, sent and stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorafw.contracts import Encoder
from lorafw.data.encoded.packed import pack
from lorafw.data.encoded.report import Report
from lorafw.errors import LorafwError
from lorafw.types import Encoded, Example, Split, Tokenizer

SIZE = 512
"""Examples in a portion: enough to keep every core of a tokenizer busy, few enough to show
progress."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Encoded rows as an Arrow record batch, and the account of them."""

    batch: Any
    report: Report


@dataclass(frozen=True, slots=True)
class PortionMaker:
    """All that makes portions: one encoder and one tokenizer, for one split."""

    encoder: Encoder
    tokenizer: Tokenizer
    split: Split

    def portion(self, examples: Sequence[Example], first: int) -> Portion:
        """Examples encoded; `first` is the number of the first of them, counted from one.

        Raises:
            LorafwError: an example cannot be rendered; the message counts which.
        """
        rows = self._encoded(examples, first)
        batch = pack([row for row in rows if row is not None])
        return Portion(batch, Report.of(rows, self.split, self.encoder.max_length))

    def _encoded(self, examples: Sequence[Example], first: int) -> Sequence[Encoded | None]:
        try:
            return self.encoder.encode_many(examples, self.tokenizer)
        except LorafwError as error:
            raise self._placed(error, examples, first) from None

    def _placed(self, error: LorafwError, examples: Sequence[Example], first: int) -> LorafwError:
        """The error of the first example that cannot be encoded, with its number."""
        for number, example in enumerate(examples, first):
            try:
                self.encoder.encode(example, self.tokenizer)
            except LorafwError as fault:
                what = f"{fault.what} (row {number} of split '{self.split}')"
                return type(fault)(what, where=fault.where, mend=fault.mend)
        return error

"""Metric `gsm8k`: whether a calculation comes to the right number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.contracts.metric import Written
from lorafw.errors import DataError
from lorafw.figures.numbers import MARK, last_number, marked_number


class Gsm8kAnswer(MeanOfAnswers):
    """Share of the answers that come to the row's number, by GSM8K's `####` and by any way.

    `gsm8k` reads the number behind `####`; `gsm8k_flexible` takes the last number of an answer that
    has none there. Numbers are compared by their value: 1,200 is 1200.0.
    """

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "gsm8k": "higher",
        "gsm8k_flexible": "higher",
    }

    def score(self, written: Written) -> Mapping[str, float]:
        """1 or 0 for either way of reading.

        Raises:
            DataError: the row's own answer has no number.
        """
        wanted = marked_number(written.reference)
        wanted = last_number(written.reference) if wanted is None else wanted
        if wanted is None:
            shown = written.reference[:40]
            mend = f"GSM8K writes it behind {MARK}."
            raise DataError(f"metric gsm8k finds no number in the answer {shown!r}.", mend=mend)
        strict = marked_number(written.answer)
        flexible = last_number(written.answer) if strict is None else strict
        return {"gsm8k": float(strict == wanted), "gsm8k_flexible": float(flexible == wanted)}

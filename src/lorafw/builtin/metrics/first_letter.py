"""Metric `first-letter`: whether the answer begins with the right letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.contracts.metric import Written
from lorafw.errors import DataError
from lorafw.figures.words import normalised


class FirstLetter(MeanOfAnswers):
    """Share of the answers whose first letter or digit is the row's, as TRACE scores ScienceQA.

    Brackets, spaces and case do not count: `(b) because` begins as `B` does.
    """

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"first_letter": "higher"}

    def score(self, written: Written) -> Mapping[str, float]:
        """1 or 0; an answer without a letter is wrong.

        Raises:
            DataError: the row's own answer has no letter.
        """
        wanted = _first(written.reference)
        if not wanted:
            fault = f"metric first-letter finds no letter in the answer {written.reference[:40]!r}."
            raise DataError(fault)
        return {"first_letter": float(_first(written.answer) == wanted)}


def _first(text: str) -> str:
    return next((letter for letter in normalised(text) if letter.isalnum()), "")

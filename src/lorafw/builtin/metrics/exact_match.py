"""Metric `exact-match`: the share of answers that say what the row says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.contracts.metric import Written
from lorafw.figures.words import normalised


class ExactMatch(MeanOfAnswers):
    """Share of the answers that are the row's, white space and compatible characters aside."""

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"exact_match": "higher"}

    ignore_case: bool = Field(True, description="Take upper and lower case for the same.")
    ignore_punctuation: bool = Field(False, description="Leave out punctuation and symbols.")

    def score(self, written: Written) -> Mapping[str, float]:
        """1 or 0; an empty answer is wrong unless the row's is empty too."""
        said, wanted = (self._plain(text) for text in (written.answer, written.reference))
        return {"exact_match": float(said == wanted)}

    def _plain(self, text: str) -> str:
        return normalised(
            text, ignore_case=self.ignore_case, ignore_punctuation=self.ignore_punctuation
        )

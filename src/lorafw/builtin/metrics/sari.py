"""Metric `sari`: how well texts were simplified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.contracts.metric import Written
from lorafw.figures.sari import sari
from lorafw.figures.words import sentence_tokens


class Sari(MeanOfAnswers):
    """SARI, 0 to 100 (Xu et al. 2016): what a simplification kept, added and deleted.

    The text to simplify is the row's input where it keeps one apart, else its whole prompt. Words
    are in lower case and punctuation counts; Chinese and its like by characters.
    """

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"sari": "higher"}

    def score(self, written: Written) -> Mapping[str, float]:
        """SARI of one answer."""
        texts = (written.source, written.answer, written.reference)
        source, answer, reference = (sentence_tokens(text) for text in texts)
        return {"sari": 100 * sari(source, answer, [reference])}

"""Metric `rouge`: words, pairs of words and their order that answer and row share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.builtin.trackers._packages import need
from lorafw.contracts.metric import Written
from lorafw.figures.words import words

_FIGURES = ("rouge1", "rouge2", "rougeL")


class Rouge(MeanOfAnswers):
    """ROUGE-1, ROUGE-2 and ROUGE-L (F1, 0 to 1; Lin 2004), any script. Needs `lorafw[evaluate]`.

    Words are runs of letters and digits in lower case, without stemming; of scripts that put no
    spaces between words, Chinese among them, every character is a word.
    """

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = dict.fromkeys(_FIGURES, "higher")
    headline: ClassVar[str] = "rougeL"

    def preflight(self) -> None:
        """See that rouge-score is installed."""
        need("evaluate", "rouge_score", part="metric")

    def score(self, written: Written) -> Mapping[str, float]:
        """The F1 of each."""
        found = _scorer().score(written.reference, written.answer)
        return {name: float(found[name].fmeasure) for name in _FIGURES}


class _Words:
    """rouge-score's own tokenizer drops every letter but a to z."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(_FIGURES), tokenizer=_Words())

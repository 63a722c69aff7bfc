"""Metric `bleu`: corpus BLEU as sacreBLEU computes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import Field

from lorafw.builtin.trackers._packages import need
from lorafw.contracts.metric import Metric, Outcome, Written
from lorafw.figures.words import is_chinese, is_japanese

_LONGEST = 4
_LENGTHS = ("answer_words", "reference_words")


class Bleu(Metric):
    """Corpus BLEU of sacreBLEU, 0 to 100, and BLEU-1 of words alone. Needs `lorafw[evaluate]`."""

    reads: ClassVar[type[Outcome]] = Written
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {
        "bleu": "higher",
        "bleu1": "higher",
    }

    tokenize: Literal["auto", "13a", "intl", "zh", "char", "none"] = Field(
        "auto",
        description="sacreBLEU's way of finding words; auto is zh for a row whose answer is "
        "Chinese, char for Japanese, else 13a.",
    )
    lowercase: bool = Field(False, description="Take upper and lower case for the same.")

    def preflight(self) -> None:
        """See that sacrebleu is installed."""
        need("evaluate", "sacrebleu", part="metric")

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """Lengths, and of n-grams of one to four words how many there are and how many match."""
        assert isinstance(outcome, Written)
        scorer = _scorer(self._way(outcome.reference), self.lowercase)
        found = scorer.corpus_score([outcome.answer], [[outcome.reference]])
        lengths = zip(_LENGTHS, (found.sys_len, found.ref_len), strict=True)
        grams = enumerate(zip(found.counts, found.totals, strict=True), start=1)
        sums = {f"{what}/{n}": float(each[at]) for n, each in grams for at, what in _GRAMS}
        return {name: float(value) for name, value in lengths} | sums

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """BLEU of n-grams up to four words and up to one, smoothed as sacreBLEU does."""
        return {"bleu": _score(totals, _LONGEST), "bleu1": _score(totals, 1)}

    def _way(self, reference: str) -> str:
        if self.tokenize != "auto":
            return self.tokenize
        if is_japanese(reference):
            return "char"
        return "zh" if is_chinese(reference) else "13a"


_GRAMS = ((0, "matches"), (1, "grams"))


@cache
def _scorer(tokenize: str, lowercase: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)


def _score(totals: Mapping[str, float], longest: int) -> float:
    from sacrebleu.metrics.bleu import BLEU

    matches, grams = (
        [round(totals[f"{what}/{n}"]) for n in range(1, longest + 1)] for _, what in _GRAMS
    )
    said, wanted = (round(totals[name]) for name in _LENGTHS)
    found = BLEU.compute_bleu(
        matches, grams, said, wanted, smooth_method="exp", max_ngram_order=longest
    )
    return float(found.score)

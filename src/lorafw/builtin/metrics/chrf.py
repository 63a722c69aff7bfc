"""Metric `chrf`: runs of characters that answers and rows share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import Field

from lorafw.builtin.trackers._packages import need
from lorafw.contracts.metric import Metric, Outcome, Written


class Chrf(Metric):
    """Corpus chrF of sacreBLEU, 0 to 100, the same for any script. Needs `lorafw[evaluate]`."""

    reads: ClassVar[type[Outcome]] = Written
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"chrf": "higher"}

    word_order: int = Field(0, ge=0, le=2, description="Longest run of words; 2 makes it chrF++.")

    def preflight(self) -> None:
        """See that sacrebleu is installed."""
        need("evaluate", "sacrebleu", part="metric")

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        """Of runs of each length: how many answer and row have, and how many match."""
        assert isinstance(outcome, Written)
        # sacreBLEU shows these numbers to its own bootstrap alone.
        (found,) = _scorer(self.word_order)._extract_corpus_statistics(  # noqa: SLF001
            [outcome.answer], [[outcome.reference]]
        )
        return {str(at): float(count) for at, count in enumerate(found)}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        """The chrF of all rows together."""
        counts = [round(count) for count in totals.values()]
        return {"chrf": float(_scorer(self.word_order)._compute_f_score(counts))}  # noqa: SLF001


@cache
def _scorer(word_order: int) -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=word_order)

"""Metric `edit-similarity`: how few letters must change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.builtin.metrics.written import MeanOfAnswers
from lorafw.builtin.trackers._packages import need
from lorafw.contracts.metric import Written


class EditSimilarity(MeanOfAnswers):
    """Letters that stay when an answer is edited into the row's, 0 to 1. Needs `lorafw[evaluate]`.

    1 - (letters inserted and deleted) / (letters of both): the `ratio` of fuzzywuzzy and rapidfuzz,
    which goes from 0 to 100 there.
    """

    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"edit_similarity": "higher"}

    def preflight(self) -> None:
        """See that rapidfuzz is installed."""
        need("evaluate", "rapidfuzz", part="metric")

    def score(self, written: Written) -> Mapping[str, float]:
        """The similarity of one answer."""
        from rapidfuzz.distance import Indel

        found = Indel.normalized_similarity(written.reference, written.answer)
        return {"edit_similarity": float(found)}

"""Metrics with one fault each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar, Literal

from lorafw.builtin.metrics.exact_match import ExactMatch
from lorafw.contracts import Outcome, Written

SAYS = "it says which way its figures are better"
NAMES = "every row is measured under the same names"
AGAIN = "what is measured is finite and the same again"
FINITE = "figures of any few rows are finite"
COPIES = "copies of all rows change no figure"
EMPTY = "an empty answer counts and is no better than the right one"

_COUNTER = itertools.count()


class Silent(ExactMatch):
    """Says of no figure which way is better."""

    breaks: ClassVar[tuple[str, ...]] = (SAYS, EMPTY)
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {}


class Upside(ExactMatch):
    """Takes a higher share of right answers for the worse."""

    breaks: ClassVar[tuple[str, ...]] = (EMPTY,)
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"exact_match": "lower"}


class Lenient(ExactMatch):
    """Takes an empty answer for a right one."""

    breaks: ClassVar[tuple[str, ...]] = (EMPTY,)

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        assert isinstance(outcome, Written)
        return super().measure(outcome) if outcome.answer else {"exact_match": 1.0, "rows": 1.0}


class Fickle(ExactMatch):
    """Measures something else each time."""

    breaks: ClassVar[tuple[str, ...]] = (AGAIN,)

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        assert isinstance(outcome, Written)
        noise = next(_COUNTER) if outcome.answer != outcome.reference else 0
        return {**super().measure(outcome), "noise": float(noise)}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {"exact_match": totals["exact_match"] / totals["rows"]}


class Summed(ExactMatch):
    """Forgets to divide by the rows."""

    breaks: ClassVar[tuple[str, ...]] = (COPIES,)

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        assert isinstance(outcome, Written)
        return {"exact_match": len(outcome.answer) / 7, "rows": 1.0}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {"exact_match": totals["exact_match"]}


class Ragged(ExactMatch):
    """Leaves out what is zero."""

    breaks: ClassVar[tuple[str, ...]] = (NAMES, SAYS, COPIES, FINITE)

    def measure(self, outcome: Outcome) -> Mapping[str, float]:
        assert isinstance(outcome, Written)
        found = {**super().measure(outcome), "length": float(len(outcome.answer))}
        return {name: n for name, n in found.items() if name != "length" or n % 2}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        return {"exact_match": totals["exact_match"] / totals["rows"]}


class Infinite(ExactMatch):
    """Divides by the right answers, of which there may be none."""

    breaks: ClassVar[tuple[str, ...]] = (FINITE, COPIES)
    better: ClassVar[Mapping[str, Literal["lower", "higher"]]] = {"rows_per_hit": "lower"}

    def summarise(self, totals: Mapping[str, float]) -> Mapping[str, float]:
        hits = totals["exact_match"]
        return {"rows_per_hit": totals["rows"] / hits if hits else float("inf")}

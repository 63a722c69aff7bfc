"""What a comparison found, in numbers and in a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lorafw.verification.limits import Limit

Verdict = Literal["holds", "differs", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run and how far it is from the reference.

    Attributes:
        trainer: which trainer, with the options in which its ways differ.
        ranks: how many processes; None where it was not tried with any.
        injector, layout: the others of its choices; empty where it did not come to that.
        budget: most tokens of a micro-batch; None likewise.
        differences: largest differences, by `adapter`, `gradient`, `loss` and `figures`.
        verdict: what that means.
        reason: why it was skipped or failed, or which differences are too large.
    """

    trainer: str
    ranks: int | None
    injector: str
    layout: str
    budget: int | None
    differences: Mapping[str, float | None]
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All runs of a comparison.

    Attributes:
        reference: the run that all others are compared with, in words.
        dtype: of the base.
        steps: optimizer steps of each run.
        rows: every run, those that were skipped too.
        limits: the largest differences that hold, and where they come from.
        random: what is random per split in this config, and what was done about it.
    """

    reference: str
    dtype: str
    steps: int
    rows: Sequence[Row]
    limits: Mapping[str, Limit]
    random: Sequence[str] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether something was compared and nothing was too far off."""
        verdicts = {row.verdict for row in self.rows}
        return "holds" in verdicts and not verdicts & {"differs", "failed"}

    def largest(self) -> dict[str, float | None]:
        """The largest difference of any run, by what was compared."""
        found: dict[str, float | None] = {}
        for what in self.limits:
            values = [v for row in self.rows if (v := row.differences.get(what)) is not None]
            found[what] = max(values, default=None)
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain values; a difference that is no finite number is the word `inf`."""
        values = {"holds": self.holds, "largest": self.largest(), **asdict(self)}
        plain: dict[str, Any] = _finite(values)
        return plain


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return "inf" if isinstance(value, float) and not math.isfinite(value) else value

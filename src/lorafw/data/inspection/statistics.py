"""How long the rows of a split are, what of them is trained, and what is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorafw.data.inspection.outcomes import Outcome
from lorafw.data.inspection.row_view import why_left_out
from lorafw.errors import LorafwError
from lorafw.types import Example, LabeledExample

_BINS = 12
"""Most bars of a histogram."""

Numbers = tuple[int, ...]
"""Row numbers, counted from one."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many rows have `low` to `high` tokens, both included."""

    low: int
    high: int
    rows: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of rows: order statistics by nearest rank, and a histogram."""

    shortest: int
    median: int
    p95: int
    longest: int
    histogram: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What becomes of the rows of a split.

    Attributes:
        rows: rows that were looked at.
        kept: those that are trained.
        lengths: of the rows kept, as they are after truncation; None when there are none.
        tokens, trained_tokens: of the rows kept.
        cut_rows, cut_tokens, most_cut: rows longer than `max_length`, what they lost in all, and
            what the one that lost most lost.
        left_out: rows with nothing to train, by reason.
        refused: rows the encoder cannot render, by what it says; each would end a run.
        classes: rows kept of each class, where rows belong to one.
    """

    max_length: int
    rows: int
    kept: int
    lengths: Lengths | None
    tokens: int
    trained_tokens: int
    cut_rows: int
    cut_tokens: int
    most_cut: int
    left_out: Mapping[str, Numbers]
    refused: Mapping[str, Numbers]
    classes: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Size:
    """Tokens of a row, those that are trained, those it lost, and its class."""

    tokens: int
    trained: int
    cut: int
    label: int | None


def statistics(examples: Sequence[Example], rows: Iterable[Outcome], max_length: int) -> Statistics:
    """Count what became of examples.

    Args:
        examples: some rows of a data set.
        rows: what an encoder made of each, in the same order.
        max_length: the encoder's.
    """
    kept: list[_Size] = []
    left_out: dict[str, list[int]] = {}
    refused: dict[str, list[int]] = {}
    for number, (example, row) in enumerate(zip(examples, rows, strict=True), 1):
        if isinstance(row, LorafwError):
            refused.setdefault(str(row), []).append(number)
        elif row is None:
            left_out.setdefault(why_left_out(example), []).append(number)
        else:
            label = example.label if isinstance(example, LabeledExample) else None
            kept.append(_Size(len(row.input_ids), row.targets, row.cut, label))
    return _summary(max_length, kept, left_out, refused)


def lengths(values: Sequence[int]) -> Lengths | None:
    """Order statistics and histogram of some lengths; None when there are none."""
    if not values:
        return None
    ranked = sorted(values)
    return Lengths(
        ranked[0], _percentile(ranked, 50), _percentile(ranked, 95), ranked[-1], _bins(ranked)
    )


def _summary(
    max_length: int,
    kept: Sequence[_Size],
    left_out: Mapping[str, Sequence[int]],
    refused: Mapping[str, Sequence[int]],
) -> Statistics:
    cuts = [size.cut for size in kept if size.cut]
    others = [numbers for reasons in (left_out, refused) for numbers in reasons.values()]
    return Statistics(
        max_length=max_length,
        rows=len(kept) + sum(map(len, others)),
        kept=len(kept),
        lengths=lengths([size.tokens for size in kept]),
        tokens=sum(size.tokens for size in kept),
        trained_tokens=sum(size.trained for size in kept),
        cut_rows=len(cuts),
        cut_tokens=sum(cuts),
        most_cut=max(cuts, default=0),
        left_out={reason: tuple(numbers) for reason, numbers in left_out.items()},
        refused={reason: tuple(numbers) for reason, numbers in refused.items()},
        classes=dict(sorted(Counter(s.label for s in kept if s.label is not None).items())),
    )


def _percentile(ranked: Sequence[int], percent: int) -> int:
    """Nearest rank: the smallest value that `percent` of all values do not exceed."""
    return ranked[max(-(-percent * len(ranked) // 100) - 1, 0)]


def _bins(ranked: Sequence[int]) -> tuple[Bin, ...]:
    """Bars of one round width that cover all values."""
    width = _width(ranked[-1] - ranked[0] + 1)
    first = ranked[0] // width
    counts = [0] * (ranked[-1] // width - first + 1)
    for value in ranked:
        counts[value // width - first] += 1
    return tuple(
        Bin((first + at) * width, (first + at + 1) * width - 1, count)
        for at, count in enumerate(counts)
    )


def _width(spread: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, … that needs no more than `_BINS` bars for a spread."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            # One bar more than fits: the first need not begin where the smallest value is.
            if step * scale * (_BINS - 1) >= spread:
                return step * scale
        scale *= 10

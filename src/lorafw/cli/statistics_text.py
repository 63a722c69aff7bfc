"""Statistics of a split in words and bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lorafw.cli.tables import columns

if TYPE_CHECKING:
    from lorafw.data.inspection.duplicates import Duplicates
    from lorafw.data.inspection.statistics import Bin, Lengths, Statistics
    from lorafw.types import Split

BAR = 40
"""Characters of the longest bar."""
NAMED = 5
"""Most row numbers that are written out."""


def statistics_lines(told: Statistics, split: Split, labels: Sequence[str] = ()) -> Iterator[str]:
    """Rows, lengths, trained share, what was cut, left out or refused."""
    yield f"Statistics of {told.rows:,} rows ({split})"
    facts = [("kept", f"{told.kept:,} of {told.rows:,}")]
    if told.lengths is not None:
        facts.append(("length", _lengths(told.lengths)))
        facts.append(("classes", _classes(told, labels)) if told.classes else _trained(told))
    facts.append(("cut", _cut(told)))
    facts += [("left out", line) for line in _reasons(told.left_out)]
    facts += [("refused", line) for line in _reasons(told.refused)]
    yield from _indented(facts)
    if told.lengths is not None:
        yield from _histogram(told.lengths.histogram)


def duplicates_lines(twice: Duplicates) -> Iterator[str]:
    """What is there more than once."""
    yield "Duplicates"
    facts = [
        ("rows to train on that are an earlier one", twice.copies),
        ("others that ask what an earlier one asks", twice.asked_again),
        ("held-out rows that are also trained", twice.held_out_copies),
        ("others that ask what a trained one asks", twice.held_out_asked),
    ]
    yield from _indented([(fact, _counted(numbers)) for fact, numbers in facts])


def class_name(label: int, labels: Sequence[str]) -> str:
    """What a class is called; its number if it has no name."""
    return labels[label] if label < len(labels) else str(label)


def _lengths(found: Lengths) -> str:
    return (
        f"shortest {found.shortest}, median {found.median}, 95 % up to {found.p95}, "
        f"longest {found.longest} tokens"
    )


def _trained(told: Statistics) -> tuple[str, str]:
    share = told.trained_tokens / max(told.tokens, 1)
    return "trained", f"{share:.1%} of {told.tokens:,} tokens"


def _classes(told: Statistics, labels: Sequence[str]) -> str:
    return ", ".join(
        f"{class_name(label, labels)} {rows:,}" for label, rows in told.classes.items()
    )


def _cut(told: Statistics) -> str:
    if not told.cut_rows:
        return f"none is longer than {told.max_length} tokens"
    return (
        f"{told.cut_rows:,} to {told.max_length} tokens, by {told.cut_tokens:,} in all, "
        f"at most by {told.most_cut:,}"
    )


def _reasons(reasons: Mapping[str, Sequence[int]]) -> list[str]:
    return [f"{_counted(numbers)}: {reason}" for reason, numbers in reasons.items()]


def _counted(numbers: Sequence[int]) -> str:
    """How many, and the first few."""
    if not numbers:
        return "0"
    named = ", ".join(map(str, numbers[:NAMED])) + (", …" if len(numbers) > NAMED else "")
    return f"{len(numbers):,} ({'row' if len(numbers) == 1 else 'rows'} {named})"


def _histogram(bins: Sequence[Bin]) -> Iterator[str]:
    most = max(each.rows for each in bins)
    names = [f"{each.low}-{each.high}" if each.high > each.low else str(each.low) for each in bins]
    width = max(map(len, names))
    bars = [_bar(each.rows, most) for each in bins]
    yield from _indented([(name.rjust(width), bar) for name, bar in zip(names, bars, strict=True)])


def _bar(rows: int, most: int) -> str:
    length = -(-BAR * rows // most)  # rounded up: the smallest bar is seen
    return f"{'█' * length} {rows:,}".lstrip()


def _indented(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    return (f"  {line}" for line in columns(facts))

"""The classes of rows and of the model that was trained on others: the same names, one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lorafw.contracts.metric import Classified, Outcome
from lorafw.errors import UsageError
from lorafw.types import Example, LabeledExample


def numbered_as(
    known: Sequence[str], examples: Sequence[Example], labels: Sequence[str]
) -> Sequence[Example]:
    """The examples with their classes numbered as the model's are; others as they are.

    Args:
        known: names of the model's classes.
        examples: all of one kind.
        labels: names of the classes as the examples number them.

    Raises:
        UsageError: the rows have a class that the model does not know.
    """
    if tuple(labels) == tuple(known) or not labels or not known:
        return examples
    if foreign := [label for label in labels if label not in known]:
        shown = ", ".join(known)
        raise UsageError(f"the model knows no class '{foreign[0]}'; its classes are {shown}.")
    number = [list(known).index(label) for label in labels]
    return [
        replace(each, label=number[each.label]) if isinstance(each, LabeledExample) else each
        for each in examples
    ]


def confusion(
    found: Mapping[str, Mapping[type[Outcome], Sequence[Outcome]]], classes: int
) -> dict[str, list[list[int]]]:
    """Of each model how often a row of class i was taken for class j; empty for other models."""
    return {
        who: _table([each for each in did[Classified] if isinstance(each, Classified)], classes)
        for who, did in found.items()
        if Classified in did
    }


def _table(rows: Sequence[Classified], classes: int) -> list[list[int]]:
    table = [[0] * classes for _ in range(classes)]
    for row in rows:
        table[row.label][row.probabilities.index(max(row.probabilities))] += 1
    return table

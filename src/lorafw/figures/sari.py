"""SARI: how well a text was simplified (Xu et al. 2016, TACL 4, 401-415)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

Grams: TypeAlias = Counter[tuple[str, ...]]

_LONGEST = 4


def sari(
    source: Sequence[str], answer: Sequence[str], references: Sequence[Sequence[str]]
) -> float:
    """The mean, 0 to 1, of F1 of what was kept, F1 of what was added, precision of what went.

    Each is a mean over n-grams of one to four words. As in tensor2tensor and in EASSE, 0/0 is 1,
    so that a perfect answer has 1, and the recall of what was kept counts every occurrence: the
    authors' script divides there by another count than the paper does.

    Args:
        source: words of the text to simplify.
        answer: words of the simplified text.
        references: words of each good simplification, at least one.
    """
    scores = [_scores(source, answer, references, n) for n in range(1, _LONGEST + 1)]
    return sum(map(sum, scores)) / (3 * _LONGEST)


def _scores(
    source: Sequence[str], answer: Sequence[str], references: Sequence[Sequence[str]], n: int
) -> tuple[float, float, float]:
    """Kept, deleted and added n-grams; counts of source and answer weigh as all references do."""
    many = len(references)
    said = Counter({gram: many * count for gram, count in _grams(source, n).items()})
    kept_or_new = Counter({gram: many * count for gram, count in _grams(answer, n).items()})
    wanted: Grams = Counter()
    for reference in references:
        wanted.update(_grams(reference, n))
    return (
        _kept(said, kept_or_new, wanted),
        _deleted(said, kept_or_new, wanted),
        _added(said, kept_or_new, wanted),
    )


def _kept(source: Grams, answer: Grams, wanted: Grams) -> float:
    kept, to_keep = source & answer, source & wanted
    right = kept & wanted
    precision = _ratio(sum(right[gram] / kept[gram] for gram in right), len(kept))
    return _f1(precision, _ratio(right.total(), to_keep.total()))


def _deleted(source: Grams, answer: Grams, wanted: Grams) -> float:
    deleted = source - answer
    right = deleted - wanted
    return _ratio(sum(right[gram] / deleted[gram] for gram in right), len(deleted))


def _added(source: Grams, answer: Grams, wanted: Grams) -> float:
    added, to_add = answer.keys() - source.keys(), wanted.keys() - source.keys()
    right = len(added & to_add)
    return _f1(_ratio(right, len(added)), _ratio(right, len(to_add)))


def _grams(words: Sequence[str], n: int) -> Grams:
    return Grams(zip(*(words[start:] for start in range(n)), strict=False))


def _times(many: int, grams: Grams) -> Grams:
    return Grams({gram: many * count for gram, count in grams.items()})


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _f1(precision: float, recall: float) -> float:
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0

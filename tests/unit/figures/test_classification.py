"""Figures of a classification, compared with scikit-learn's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorafw.figures.classification import FIGURES, ClassCounts, figures

metrics: Any = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")


@st.composite
def labelled(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A number of classes, true labels and predictions."""
    classes = draw(st.integers(2, 5))
    pair = st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1))
    rows = draw(st.lists(pair, min_size=1, max_size=40))
    return classes, [row[0] for row in rows], [row[1] for row in rows]


def counted(classes: int, actual: list[int], predicted: list[int]) -> ClassCounts:
    hits = [a for a, p in zip(actual, predicted, strict=True) if a == p]
    return ClassCounts(*([s.count(i) for i in range(classes)] for s in (hits, predicted, actual)))


@settings(max_examples=60)
@given(labelled())
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
def test_figures_are_those_of_scikit_learn(drawn: tuple[int, list[int], list[int]]) -> None:
    classes, actual, predicted = drawn
    found = figures(counted(*drawn))
    wanted = {
        "accuracy": metrics.accuracy_score(actual, predicted),
        "mcc": metrics.matthews_corrcoef(actual, predicted),
    }
    for name in ("f1", "precision", "recall"):
        score = getattr(metrics, f"{name}_score")
        if classes == 2:
            wanted[name] = score(actual, predicted, zero_division=0)
            continue
        for kind in ("macro", "weighted"):
            wanted[f"{name}_{kind}"] = score(actual, predicted, average=kind, zero_division=0)
    assert found == pytest.approx(wanted, abs=1e-12)


@given(labelled(), st.integers(0, 40))
def test_counts_add_up_over_a_split(drawn: tuple[int, list[int], list[int]], at: int) -> None:
    classes, actual, predicted = drawn
    whole = counted(*drawn)
    parts = [counted(classes, actual[s], predicted[s]) for s in (slice(at), slice(at, None))]
    for name in ("hits", "predicted", "actual"):
        sums = [a + b for a, b in zip(*(getattr(part, name) for part in parts), strict=True)]
        assert sums == getattr(whole, name)


def test_one_prediction_for_all_says_nothing() -> None:
    assert figures(ClassCounts([3, 0], [5, 0], [3, 2])) == {
        "accuracy": 0.6,
        "f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "mcc": 0.0,
    }


def test_every_figure_there_may_be_is_listed() -> None:
    two, three = (figures(ClassCounts(*[[1.0] * classes] * 3)) for classes in (2, 3))
    assert set(FIGURES) == {*two, *three}
    assert len(FIGURES) == len(set(FIGURES))

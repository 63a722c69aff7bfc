from __future__ import annotations

import pytest
from benchmarks.job import Outcome
from benchmarks.summary import TOLERANCE, disagreement, summarise, verdict


def _outcome(seconds: float) -> Outcome:
    return Outcome(1000, seconds, 2 * seconds, 10, [3.0, 2.0])


def test_figures_are_medians_over_rounds() -> None:
    figures = summarise([_outcome(1.0), _outcome(100.0), _outcome(2.0)])
    assert figures.tokens_per_second == 500
    assert figures.cpu_seconds_per_kilotoken == pytest.approx(4.0)
    assert (figures.first_loss, figures.last_loss) == (3.0, 2.0)


def test_disagreement_is_the_largest_distance_from_the_median() -> None:
    assert disagreement({"a": 2.0, "b": 2.0, "c": 2.1}) == pytest.approx(0.05)


@pytest.mark.parametrize(("factor", "agree"), [(0.5, True), (2.0, False)])
def test_the_verdict_depends_on_the_tolerance(factor: float, agree: bool) -> None:
    losses = {"a": 1.0, "b": 1.0, "c": 1.0 + factor * TOLERANCE}
    assert verdict("Losses", losses)[0] is agree

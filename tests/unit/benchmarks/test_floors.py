from __future__ import annotations

import pytest
from benchmarks.floors import beside, demands
from benchmarks.summary import Figures


def _figures(speed: float, peak: float, of_floor: float | None = None) -> Figures:
    return Figures(speed, 1.0, 1.0, 1.0, peak, None, None, of_floor)


def _held(shape: str, ours: Figures, **rivals: Figures) -> list[bool]:
    return [each.holds for each in demands(shape, ours, {"ours": ours, **rivals})]


def test_others_are_compared_with_as_they_come() -> None:
    ours, slow, fast = _figures(100, 3), _figures(5, 5), _figures(15, 20)
    tuned = {"trl-tuned": fast}
    assert _held("smollm2-135m", ours, trl=slow, **tuned) == [True, False]
    assert _held("smollm2-135m", ours, **{"hf-trainer": fast}) == [True, True]
    assert beside(ours, tuned) == [
        "beside  6.7x the tokens/s and 0.15x the peak memory of TRL, tuned"
    ]


@pytest.mark.parametrize(
    ("shape", "share", "held"),
    [
        ("smollm2-135m", 0.25, [True]),
        ("llama-1b-wide", 0.69, [False]),
        ("llama-1b-wide", None, []),
        ("minimind", 0.01, []),
    ],
)
def test_each_shape_has_its_share_of_the_floor(
    shape: str, share: float | None, held: list[bool]
) -> None:
    assert _held(shape, _figures(100, 3, share), trl=_figures(99, 3))[: len(held)] == held

from __future__ import annotations

import pytest
from benchmarks.floors import demands
from benchmarks.summary import Figures

FAMILIES = {"ours": "lorafw", "trl": "trl", "trl-tuned": "trl", "hf": "hf"}


def _figures(speed: float, peak: float, of_floor: float | None = None) -> Figures:
    return Figures(speed, 1.0, 1.0, 1.0, peak, None, None, of_floor)


def _held(shape: str, ours: Figures, **rivals: Figures) -> list[bool]:
    found = demands(shape, ours, {"ours": ours, **rivals}, lambda name: FAMILIES[name])
    return [each.holds for each in found]


def test_the_fastest_of_a_family_is_the_rival() -> None:
    ours = _figures(100, 3)
    slow, fast = _figures(5, 5), _figures(15, 20)
    assert _held("smollm2-135m", ours, trl=slow) == [True, False]
    assert _held("smollm2-135m", ours, trl=slow, **{"trl-tuned": fast}) == [False, True]
    assert _held("smollm2-135m", ours, hf=fast) == [True, True]


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

from __future__ import annotations

import pytest
from benchmarks.curves import compare, distance


@pytest.mark.parametrize(("off_by", "within"), [(0.1, True), (0.3, False)])
def test_ways_may_differ_no_more_than_starts(off_by: float, within: bool) -> None:
    ordinary = {0: [3.0, 2.0], 1: [3.2, 2.2], 2: [3.0, 2.4]}
    fast = {seed: [loss + off_by for loss in curve] for seed, curve in ordinary.items()}
    exact = {seed: [loss - 1 for loss in curve] for seed, curve in ordinary.items()}
    found = compare(fast, ordinary, exact)
    assert found.between_ways == pytest.approx(off_by)
    assert found.between_starts == pytest.approx((0.2 + 0.2 + 0.2) / 3)
    assert found.within_noise is within
    assert found.ordinary_from_exact == pytest.approx(1)
    assert found.fast_from_exact == pytest.approx(1 + off_by)


def test_curves_of_different_lengths_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        distance([1.0, 2.0], [1.0])

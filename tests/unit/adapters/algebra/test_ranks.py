"""Specs with other ranks keep their scalings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.adapters.algebra.ranks import with_patterns, with_ranks
from lorafw.types import AdapterSpec

MODULES = ("a", "b", "c")
ranks = st.fixed_dictionaries({module: st.integers(1, 64) for module in MODULES})


@given(ranks, ranks, st.booleans(), st.floats(0.5, 64))
def test_ranks_change_and_scalings_stay(
    before: dict[str, int], after: dict[str, int], rslora: bool, alpha: float
) -> None:
    spec = AdapterSpec(
        rank=7, alpha=alpha, targets=MODULES, use_rslora=rslora, rank_pattern=before, dropout=0.1
    )
    changed = with_ranks(spec, after)
    assert {module: changed.rank_of(module) for module in MODULES} == after
    for module in MODULES:
        assert changed.scaling_of(module) == pytest.approx(spec.scaling_of(module))
    assert (changed.use_rslora, changed.dropout) == (rslora, 0.1)


def test_the_same_ranks_give_the_same_scalings_bit_for_bit() -> None:
    spec = AdapterSpec(rank=3, alpha=0.7, targets=MODULES, alpha_pattern={"b": 0.1})
    assert with_ranks(spec, dict.fromkeys(MODULES, 3)) == spec


def test_patterns_hold_only_what_is_not_the_commonest() -> None:
    spec = AdapterSpec(rank=1, alpha=1, targets=MODULES)
    found = with_patterns(spec, {"a": 4, "b": 2, "c": 4}, {"a": 1.0, "b": 8.0, "c": 8.0})
    assert (found.rank, found.rank_pattern) == (4, {"b": 2})
    assert (found.alpha, found.alpha_pattern) == (8.0, {"a": 1.0})

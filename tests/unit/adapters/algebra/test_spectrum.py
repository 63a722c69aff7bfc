"""Norms and ranks that follow from singular values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorafw.adapters.algebra.spectrum import Spectrum

values = st.lists(st.floats(0.001, 1000), min_size=1, max_size=12).map(
    lambda found: tuple(sorted(found, reverse=True))
)


def test_equal_directions_count_fully() -> None:
    spectrum = Spectrum((2.0, 2.0, 2.0, 2.0))
    assert spectrum.norm == pytest.approx(4)
    assert spectrum.effective_rank == pytest.approx(4)
    assert spectrum.stable_rank == pytest.approx(4)


def test_one_direction_is_rank_one() -> None:
    spectrum = Spectrum((3.0, 0.0, 0.0))
    assert spectrum.effective_rank == pytest.approx(1)
    assert spectrum.stable_rank == pytest.approx(1)
    assert spectrum.rank_for(1.0) == 1


def test_the_definitions() -> None:
    spectrum = Spectrum((3.0, 1.0))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert spectrum.effective_rank == pytest.approx(math.exp(entropy))
    assert spectrum.stable_rank == pytest.approx(10 / 9)


def test_no_update_has_no_rank_and_no_nan() -> None:
    spectrum = Spectrum.of(torch.zeros(3))
    assert (spectrum.norm, spectrum.effective_rank, spectrum.stable_rank) == (0, 0, 0)
    assert spectrum.rank_for(0.9) == 1


@given(values)
def test_ranks_lie_between_one_and_the_number_of_values(found: tuple[float, ...]) -> None:
    spectrum = Spectrum(found)
    assert 1 <= spectrum.stable_rank <= len(found) * (1 + 1e-9)
    assert 1 - 1e-9 <= spectrum.effective_rank <= len(found) * (1 + 1e-9)


@given(values, st.floats(0.01, 1.0))
def test_the_least_rank_that_keeps_enough(found: tuple[float, ...], energy: float) -> None:
    rank = Spectrum(found).rank_for(energy)
    whole = sum(value**2 for value in found)
    kept = [sum(value**2 for value in found[:count]) for count in range(len(found) + 1)]
    assert kept[rank] >= energy * whole * (1 - 1e-9)
    assert rank == 1 or kept[rank - 1] <= energy * whole * (1 + 1e-9)
